// Signs and verifies with @hellocoop/httpsig for the tests: one JSON question per line on standard input, one JSON
// answer per line on standard output.
//
//   {"op": "sign", "method", "url", "headers", "body"?, "signingKey", "signatureKey", "components"?}  ->  {"headers"}
//   {"op": "verify", "method", "authority", "path", "query"?, "headers", "body"?, "documents"?, "now"?}  ->  its result
//
// `now`, in Unix seconds, stops the clock. `documents` maps URL to the JSON that a fetch of it is answered with; nothing
// is fetched from anywhere else.
import { createInterface } from 'node:readline'
import { fetch as signedFetch, verify } from '@hellocoop/httpsig'

let documents = {}
globalThis.fetch = async (url) => {
    const found = documents[String(url)]
    return found === undefined ? new Response('', { status: 404 }) : Response.json(found)
}

async function sign(question) {
    const { method, url, headers, body, signingKey, signatureKey, components } = question
    const options = { method, headers, body, signingKey, signatureKey, components, dryRun: true }
    const signed = await signedFetch(url, options)
    return { headers: Object.fromEntries(signed.headers) }
}

const clock = Date.now

async function check(question) {
    Date.now = question.now === undefined ? clock : () => question.now * 1000
    documents = question.documents ?? {}
    const { method, authority, path, query, headers, body } = question
    return await verify({ method, authority, path, query, headers, body }, { maxClockSkew: 60 })
}

for await (const line of createInterface({ input: process.stdin })) {
    const question = JSON.parse(line)
    let answer
    try {
        answer = question.op === 'sign' ? await sign(question) : await check(question)
    } catch (error) {
        answer = { failed: String(error) }
    }
    process.stdout.write(JSON.stringify(answer) + '\n')
}
