// amqplib over TLS: amqps with an authority of one's own, and with a certificate in the place of a password.
'use strict';

const assert = require('node:assert/strict');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const amqp = require('amqplib');
const { Inbox, afterwards, mine, test, within } = require('./support');

const { INTEROP_TLS: broker, INTEROP_CERTIFICATES: folder } = process.env;
const skip = { skip: broker ? false : "the broker's port for TLS, or openssl, is not there" };
const file = (name) => readFileSync(join(folder, name));

async function open(t, options, url = `amqps://guest:guest@${broker}`) {
  const connection = await within(amqp.connect(url, options), 'a connection');
  afterwards(t, () => within(connection.close(), 'the connection closed'));
  return connection.createChannel();
}

test('a message passes over TLS', async (t) => {
  const channel = await open(t, { ca: [file('ca.pem')] });
  const queue = await mine(channel);
  const inbox = await Inbox.on(channel, queue);
  const body = Buffer.alloc(200_000, 'x');
  channel.sendToQueue(queue, body);
  const [message] = await inbox.take(1);
  assert.deepEqual(message.content, body);
}, skip);

test('a certificate logs in without a password', async (t) => {
  const options = { ca: [file('ca.pem')], cert: file('client.pem'), key: file('client.key') };
  await open(t, { ...options, credentials: amqp.credentials.external() }, `amqps://${broker}`);
}, skip);

test('a broker that is not known is left', async () => {
  await assert.rejects(amqp.connect(`amqps://guest:guest@${broker}`), { code: /SELF_SIGNED|UNABLE_TO/ });
}, skip);
