// Loaded into mockin's process with `node --import`: a request signed as mockin in its own right (scheme jwks_uri), with
// its own key and @hellocoop/httpsig. mockin itself calls no access server; this is the call it would make.
//
//   POST /  {"method", "url", "body"?}  ->  {"status", "headers", "body"}, what the server at `url` answered
import { createServer } from 'node:http'
import { pathToFileURL } from 'node:url'
import { fetch as signedFetch } from '@hellocoop/httpsig'

const { privateJwk, kid } = await import(pathToFileURL(`${process.cwd()}/src/aauth/keys.js`))
const COVERED = ['@method', '@authority', '@path', 'signature-key']

async function federate({ method, url, body }) {
    const answer = await signedFetch(url, {
        method,
        body: body === undefined ? undefined : JSON.stringify(body),
        headers: body === undefined ? {} : { 'content-type': 'application/json' },
        signingKey: privateJwk,
        signatureKey: { type: 'jwks_uri', id: process.env.ISSUER, dwk: 'aauth-person.json', kid },
        components: body === undefined ? COVERED : [...COVERED, 'content-type', 'content-digest'],
    })
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() }
}

createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const answer = await federate(JSON.parse(text)).catch((error) => ({ status: 0, headers: {}, body: String(error) }))
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(answer))
}).listen(Number(process.env.FEDERATE_PORT), '127.0.0.1')
