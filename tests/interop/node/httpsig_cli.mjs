// Signs and verifies with @hellocoop/httpsig for the tests: one JSON question per line on standard input, one JSON
// answer per line on standard output.
//
//   {"op": "sign", "method", "url", "headers", "body"?, "signingKey", "signatureKey", "components"?}
//       ->  {"headers", "base"}
//   {"op": "verify", "method", "authority", "path", "query"?, "headers", "body"?, "documents"?, "now"?}
//       ->  its result, and "base"
//
// `body` is in base64, and so is `base`, the signature base as it was given to be signed or verified. `now`, in Unix
// seconds, stops the clock. `documents` maps URL to the JSON that a fetch of it is answered with; nothing is fetched
// from anywhere else.
import { createInterface } from 'node:readline'
import { fetch as signedFetch, verify } from '@hellocoop/httpsig'

let documents = {}
globalThis.fetch = async (url) => {
    const found = documents[String(url)]
    return found === undefined ? new Response('', { status: 404 }) : Response.json(found)
}

// The package does not show its signature base; what it has signed or verified is one if it begins with a component.
let base
for (const operation of ['sign', 'verify']) {
    const real = crypto.subtle[operation].bind(crypto.subtle)
    crypto.subtle[operation] = (...given) => {
        const data = Buffer.from(given.at(-1))
        if (data.subarray(0, 1).toString() === '"') base = data.toString('base64')
        return real(...given)
    }
}

const bytes = (body) => (body === undefined || body === null ? undefined : Buffer.from(body, 'base64'))

async function sign(question) {
    const { method, url, headers, body, signingKey, signatureKey, components } = question
    const options = { method, headers, body: bytes(body), signingKey, signatureKey, components, dryRun: true }
    const signed = await signedFetch(url, options)
    return { headers: Object.fromEntries(signed.headers), base }
}

const clock = Date.now

async function check(question) {
    Date.now = question.now === undefined ? clock : () => question.now * 1000
    documents = question.documents ?? {}
    const { method, authority, path, query, headers, body } = question
    const request = { method, authority, path, query, headers, body: bytes(body) }
    return { ...(await verify(request, { maxClockSkew: 60 })), base }
}

for await (const line of createInterface({ input: process.stdin })) {
    const question = JSON.parse(line)
    let answer
    base = undefined
    try {
        answer = question.op === 'sign' ? await sign(question) : await check(question)
    } catch (error) {
        answer = { failed: String(error) }
    }
    process.stdout.write(JSON.stringify(answer) + '\n')
}
