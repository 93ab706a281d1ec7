// What the tests share: connections that are closed, and names that are deleted, when the test is over; deadlines; and a
// relay in front of the broker whose connections a test can cut.
'use strict';

const net = require('node:net');
const nodeTest = require('node:test');
const { randomBytes } = require('node:crypto');
const { once } = require('node:events');
const amqp = require('amqplib');

const BROKER = process.env.INTEROP_BROKER ?? '127.0.0.1:5672';
const PORT = Number(BROKER.slice(BROKER.lastIndexOf(':') + 1));
const HOST = BROKER.slice(0, BROKER.lastIndexOf(':')).replace(/^\[|\]$/g, '');

// A step of a test that takes longer than this many milliseconds has failed.
const DEADLINE = 20_000;

const TEST_SECONDS = Number(process.env.INTEROP_TEST_SECONDS ?? 60);

// A test that fails when it takes too long. `options` are those of node's own.
const test = (name, run, options = {}) => nodeTest(name, { timeout: TEST_SECONDS * 1000, ...options }, run);

const LOGIN_REFUSED =
  'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.';

// A name that no other test, and no other run on the same broker, uses.
const unique = (kind) => `interop.${kind}.${randomBytes(6).toString('hex')}`;

// The promise's result, or an error saying what never happened.
async function within(promise, what = 'an answer') {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`within ${DEADLINE} ms: ${what}`)), DEADLINE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// Whether a connection is to leveret, for what no other broker has.
const isLeveret = (connection) => connection.connection.serverProperties.leveret_version !== undefined;

// What is to be done after a test, the last thing first.
const cleanups = new WeakMap();

function afterwards(t, act) {
  if (!cleanups.has(t)) {
    cleanups.set(t, []);
    t.after(async () => {
      for (const cleanup of cleanups.get(t).reverse()) await cleanup();
    });
  }
  cleanups.get(t).push(act);
}

// The arguments of the emitter's next event of this name. Unlike events.once, an 'error' in between is no concern.
const event = (emitter, name) =>
  within(new Promise((resolve) => emitter.once(name, (...values) => resolve(values))), `event '${name}'`);

// Connects; the connection is closed after the test. `options` are amqplib's, for the address and the socket.
async function connect(t, address = {}, socketOptions = {}) {
  const connection = await within(
    amqp.connect({ protocol: 'amqp', hostname: HOST, port: PORT, heartbeat: 0, ...address }, socketOptions),
    'a connection',
  );
  let open = true;
  connection.on('close', () => {
    open = false;
  });
  // An error that the test does not look at shows in its outcome; it need not end the process.
  connection.on('error', () => {});
  afterwards(t, async () => {
    if (open) await within(connection.close(), 'the connection closed');
  });
  return connection;
}

async function channelOf(connection, kind = 'createChannel') {
  const channel = await within(connection[kind](), 'a channel');
  channel.on('error', () => {});
  channel.model = connection;
  return channel;
}

// A channel of its own connection.
const open = async (t, address, socketOptions) => channelOf(await connect(t, address, socketOptions));
const openConfirming = async (t, address, socketOptions) =>
  channelOf(await connect(t, address, socketOptions), 'createConfirmChannel');

// Queues and exchanges to delete after the test.
function names(t) {
  const queues = [];
  const exchanges = [];
  afterwards(t, async () => {
    const connection = await amqp.connect({ protocol: 'amqp', hostname: HOST, port: PORT });
    const channel = await connection.createChannel();
    for (const queue of queues) await channel.deleteQueue(queue);
    for (const exchange of exchanges) await channel.deleteExchange(exchange);
    await connection.close();
  });
  return {
    queue: (kind = 'queue') => queues[queues.push(unique(kind)) - 1],
    exchange: (kind = 'exchange') => exchanges[exchanges.push(unique(kind)) - 1],
  };
}

// A queue of this connection, with a name the broker makes up.
const mine = async (channel, options) => (await within(channel.assertQueue('', { exclusive: true, ...options }))).queue;

// Collects what a consumer gets, in order.
class Inbox {
  constructor() {
    this.messages = [];
    this.waiting = [];
  }

  static async on(channel, queue, options) {
    const inbox = new Inbox();
    ({ consumerTag: inbox.tag } = await within(
      channel.consume(queue, (message) => inbox.deliver(message), options),
      'a consumer',
    ));
    return inbox;
  }

  deliver(message) {
    this.messages.push(message);
    this.waiting = this.waiting.filter((check) => !check());
  }

  // Waits for `count` messages in all and answers them.
  async take(count) {
    const enough = new Promise((resolve) => {
      const check = () => {
        if (this.messages.length < count) return false;
        resolve();
        return true;
      };
      if (!check()) this.waiting.push(check);
    });
    await within(enough, `${count} messages, got ${this.messages.length}`);
    return this.messages;
  }

  // Waits for `count` messages in all and answers their bodies as text.
  async texts(count) {
    return (await this.take(count)).map((message) => message.content.toString());
  }

  get redelivered() {
    return this.messages.map((message) => message.fields.redelivered);
  }
}

// Puts messages into a queue and waits until they are there.
async function fill(channel, queue, ...texts) {
  const confirming = await channelOf(channel.model, 'createConfirmChannel');
  for (const text of texts) confirming.sendToQueue(queue, Buffer.from(text));
  await within(confirming.waitForConfirms(), 'the messages confirmed');
  await confirming.close();
}

// A TCP relay in front of the broker.
async function relay(t, piece = Infinity) {
  let pairs = [];
  const server = net.createServer({ noDelay: true }, (client) => {
    const broker = net.connect({ host: HOST, port: PORT, noDelay: true });
    pairs.push([client, broker]);
    for (const [source, target] of [[client, broker], [broker, client]]) {
      source.on('data', (data) => {
        for (let start = 0; start < data.length; start += piece) {
          target.write(data.subarray(start, Math.min(start + piece, data.length)));
        }
      });
      source.on('end', () => target.end());
      source.on('error', () => target.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // Resets every connection; new ones are accepted as before. Answers how many there were.
  const cut = () => {
    const cutting = pairs;
    pairs = [];
    // A socket that has begun to end cannot be reset any more.
    for (const end of cutting.flat()) end.writableEnded ? end.destroy() : end.resetAndDestroy();
    return cutting.length;
  };
  afterwards(t, () => {
    cut();
    server.close();
  });
  return { hostname: '127.0.0.1', port: server.address().port, cut };
}

module.exports = { HOST, PORT, LOGIN_REFUSED };
Object.assign(module.exports, { Inbox, afterwards, channelOf, connect, event, fill, isLeveret, mine, names, open, openConfirming, relay, test, unique, within });
