// One imapflow client under the test's command: reads one JSON object a line, {"do": name, "with": [arguments]},
// answers {"done": name, "result": ...} or {"failed": name, "why": ...}; what the server tells of its own accord
// comes in between as {"event": name, ...}. Arguments: port, user.
'use strict';
const readline = require('readline');
const { ImapFlow } = require('imapflow');

const say = value => process.stdout.write(JSON.stringify(value, (key, v) => {
    if (typeof v === 'bigint') {
        return Number(v);
    }
    if (v instanceof Set) {
        return [...v].sort();
    }
    if (v instanceof Map) {
        return Object.fromEntries(v);
    }
    return v && v.type === 'Buffer' ? Buffer.from(v.data).toString('latin1') : v;
}) + '\n');

const client = new ImapFlow({
    host: '127.0.0.1', port: Number(process.argv[2]), secure: false, doSTARTTLS: false, logger: false,
    auth: { user: process.argv[3], pass: 'pw' }, qresync: true, maxIdleTime: 60000
});
let lock = null;
for (const name of ['exists', 'expunge', 'flags', 'close', 'error']) {
    client.on(name, told => say(Object.assign({ event: name }, told instanceof Error ? { why: String(told) } : told)));
}

const verbs = {
    connect: async () => {
        await client.connect();
        return { capabilities: [...client.capabilities.keys()], enabled: [...client.enabled] };
    },
    list: async () => (await client.list({ statusQuery: { messages: true, unseen: true } }))
        .map(box => ({ path: box.path, status: box.status })),
    open: async path => {
        if (lock) {
            lock.release();
        }
        lock = await client.getMailboxLock(path);
        return client.mailbox;
    },
    fetch: async (range, query, options) => client.fetchAll(range, query, options),
    download: async (range, part) => {
        const { content } = await client.download(range, part, { uid: true, chunkSize: 5000 });
        const pieces = [];
        for await (const piece of content) {
            pieces.push(piece);
        }
        return Buffer.concat(pieces).toString('latin1');
    },
    search: async query => client.search(query, { uid: true }),
    flag: async (range, flags) => client.messageFlagsAdd(range, flags, { uid: true }),
    move: async (range, path) => client.messageMove(range, path, { uid: true }),
    remove: async range => client.messageDelete(range, { uid: true }),
    append: async (path, text, flags) => client.append(path, text, flags),
    create: async path => client.mailboxCreate(path),
    status: async path => client.status(path, { messages: true, unseen: true, uidNext: true, highestModseq: true }),
    noop: async () => client.noop(),
    idle: async () => {
        client.idle();      // until the next command
        return true;
    },
    logout: async () => {
        if (lock) {
            lock.release();
        }
        await client.logout();
        return true;
    }
};

let last = Promise.resolve();
readline.createInterface({ input: process.stdin }).on('close', () => last.then(() => process.exit(0))).on('line', line => {
    const order = JSON.parse(line);
    last = last.then(() => verbs[order.do](...order.with)).then(
        result => say({ done: order.do, result }),
        error => say({ failed: order.do, why: [String(error), error.responseText, error.stack] }));
});
