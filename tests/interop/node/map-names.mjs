// Loaded before a peer with `node --import`: the names in AAUTH_MAP are reached at loopback servers, by global fetch.
const map = Object.entries(JSON.parse(process.env.AAUTH_MAP ?? '{}'))
const real = globalThis.fetch

globalThis.fetch = (input, init) => {
    const url = String(input instanceof Request ? input.url : input)
    const found = map.find(([name]) => url === name || url.startsWith(name + '/'))
    if (found === undefined) throw new TypeError(`${url} is not part of this test`)
    const moved = found[1] + url.slice(found[0].length)
    return real(input instanceof Request ? new Request(moved, input) : moved, init)
}
