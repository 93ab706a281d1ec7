// The optional arguments of queues, consumers and messages, as amqplib's users write them: time to live, limits, dead
// letters, priorities, and replies without a queue.
'use strict';

const assert = require('node:assert/strict');
const { Inbox, channelOf, fill, isLeveret, mine, names, open, openConfirming, test, within } = require('./support');

// A queue for the dead letters of another one, and the options that send them there.
async function graveyard(channel, options) {
  const dead = await mine(channel);
  return { dead, options: { deadLetterExchange: '', deadLetterRoutingKey: dead, ...options } };
}

test('messageTtl: what nobody takes in time is dead-lettered', async (t) => {
  const channel = await open(t);
  const { dead, options } = await graveyard(channel, { messageTtl: 100 });
  const queue = await mine(channel, options);
  const start = Date.now();
  await fill(channel, queue, 'm');
  const inbox = await Inbox.on(channel, dead, { noAck: true });
  const [{ properties }] = await inbox.take(1);
  assert.ok(Date.now() - start >= 95);
  assert.equal(properties.headers['x-first-death-reason'], 'expired');
  assert.equal((await channel.checkQueue(queue)).messageCount, 0);
});

test('expiration: a message with a time to live of its own', async (t) => {
  const channel = await open(t);
  const { dead, options } = await graveyard(channel);
  const queue = await mine(channel, options);
  channel.sendToQueue(queue, Buffer.from('short'), { expiration: 50 });
  channel.sendToQueue(queue, Buffer.from('long'), { expiration: 60_000 });
  const inbox = await Inbox.on(channel, dead, { noAck: true });
  const [{ properties, content }] = await inbox.take(1);
  assert.equal(content.toString(), 'short');
  assert.equal(properties.expiration, undefined);
  assert.equal(properties.headers['x-death'][0]['original-expiration'], '50');
  assert.equal((await channel.get(queue)).content.toString(), 'long');
});

test('expires: an unused queue goes', async (t) => {
  const channel = await open(t);
  const queue = names(t).queue();
  await channel.assertQueue(queue, { expires: 100 });
  let gone;
  while (gone === undefined) {
    // To bind a queue is not to use it.
    const asking = await channelOf(channel.model);
    gone = await asking.bindQueue(queue, 'amq.direct', queue).then(() => asking.close(), (error) => error.code);
  }
  assert.equal(gone, 404);
});

test('a rejected message is dead-lettered with its story', async (t) => {
  const channel = await open(t);
  const exchange = names(t).exchange();
  await channel.assertExchange(exchange, 'topic');
  const { dead, options } = await graveyard(channel);
  const queue = await mine(channel, options);
  await channel.bindQueue(queue, exchange, 'a.#');
  channel.publish(exchange, 'a.b', Buffer.from('m'), { headers: { own: 'header' } });
  const [message] = await (await Inbox.on(channel, queue)).take(1);
  channel.nack(message, false, false);
  const [{ properties, fields }] = await (await Inbox.on(channel, dead, { noAck: true })).take(1);
  assert.deepEqual([fields.exchange, fields.routingKey, fields.redelivered], ['', dead, false]);
  assert.equal(properties.headers.own, 'header');
  const [{ time, ...death }] = properties.headers['x-death'];
  assert.deepEqual(death, { count: 1, reason: 'rejected', queue, exchange, 'routing-keys': ['a.b'] });
  assert.equal(time['!'], 'timestamp');
  assert.ok(Math.abs(Date.now() / 1000 - time.value) < 60);
});

test('retrying later, with a second queue that dead-letters back', async (t) => {
  const channel = await open(t);
  const own = names(t);
  const [work, wait] = [own.queue('work'), own.queue('wait')];
  await channel.assertQueue(work, { deadLetterExchange: '', deadLetterRoutingKey: wait });
  await channel.assertQueue(wait, { deadLetterExchange: '', deadLetterRoutingKey: work, messageTtl: 20 });
  const attempts = [];
  const done = new Promise((resolve) => {
    channel.consume(work, (message) => {
      const deaths = message.properties.headers['x-death'] ?? [];
      attempts.push(deaths.find(({ queue }) => queue === work)?.count ?? 0);
      if (attempts.length < 4) return channel.reject(message, false);
      channel.ack(message);
      return resolve();
    });
  });
  await fill(channel, work, 'm');
  await within(done, 'four attempts');
  assert.deepEqual(attempts, [0, 1, 2, 3]);
});

test('maxLength: the oldest go', async (t) => {
  const channel = await open(t);
  const queue = await mine(channel, { maxLength: 2 });
  await fill(channel, queue, '0', '1', '2', '3');
  assert.deepEqual(await (await Inbox.on(channel, queue)).texts(2), ['2', '3']);
});

test('reject-publish: a full queue makes waitForConfirms fail', async (t) => {
  const channel = await openConfirming(t);
  const queue = await mine(channel, { maxLength: 1, arguments: { 'x-overflow': 'reject-publish' } });
  const outcomes = [];
  for (const body of ['0', '1']) channel.sendToQueue(queue, Buffer.from(body), {}, (error) => outcomes.push(error?.message));
  await assert.rejects(within(channel.waitForConfirms(), 'the confirms'), /message nacked/);
  assert.deepEqual(outcomes, [undefined, 'message nacked']);
});

test('maxPriority: the highest first, and equal ones in order', async (t) => {
  const channel = await open(t);
  const queue = await mine(channel, { maxPriority: 5 });
  for (const priority of [1, 5, 0, 9, 1]) channel.sendToQueue(queue, Buffer.from(String(priority)), { priority });
  const inbox = await Inbox.on(channel, queue);
  assert.deepEqual((await inbox.texts(5)).length, 5);
  await channel.cancel(inbox.tag);
  channel.nackAll();
  // Whatever the consumer got while they were published, now all of them wait.
  assert.deepEqual(await (await Inbox.on(channel, queue)).texts(5), ['5', '9', '1', '1', '0']);
});

test('priority: consumers of higher priority come first', async (t) => {
  const channel = await open(t);
  const queue = await mine(channel);
  await channel.prefetch(1);
  const low = await Inbox.on(channel, queue, { priority: 1 });
  const high = await Inbox.on(channel, queue, { priority: 10 });
  await fill(channel, queue, '0', '1', '2');
  assert.deepEqual([await high.texts(1), await low.texts(1)], [['0'], ['1']]);
});

test('a quorum queue counts deliveries and gives up', async (t) => {
  const channel = await open(t);
  const queue = names(t).queue('quorum');
  const { dead, options } = await graveyard(channel);
  await channel.assertQueue(queue, { ...options, arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 2 } });
  const counts = [];
  await channel.consume(queue, (message) => {
    counts.push(message.properties.headers['x-delivery-count']);
    channel.reject(message, true);
  });
  await fill(channel, queue, 'm');
  const [{ properties }] = await (await Inbox.on(channel, dead)).take(1);
  assert.equal(properties.headers['x-death'][0].reason, 'delivery_limit');
  assert.deepEqual(counts, [undefined, 1, 2]);
});

test('a reply without a reply queue', async (t) => {
  const [client, server] = [await open(t), await open(t)];
  const queue = await mine(server);
  await server.consume(queue, (message) => {
    const { replyTo, correlationId } = message.properties;
    server.sendToQueue(replyTo, Buffer.from(message.content.toString().toUpperCase()), { correlationId });
    server.ack(message);
  });
  // Another connection cannot look at the exclusive queue, but publish to it.
  const replies = await Inbox.on(client, 'amq.rabbitmq.reply-to', { noAck: true });
  client.sendToQueue(queue, Buffer.from('call'), { replyTo: 'amq.rabbitmq.reply-to', correlationId: '7' });
  const [reply] = await replies.take(1);
  assert.deepEqual([reply.content.toString(), reply.properties.correlationId], ['CALL', '7']);
});

test('a delayed message on any exchange', async (t) => {
  const channel = await open(t);
  if (!isLeveret(channel.model)) return t.skip('only leveret has this');
  const queue = await mine(channel);
  const inbox = await Inbox.on(channel, queue, { noAck: true });
  const start = Date.now();
  channel.sendToQueue(queue, Buffer.from('later'), { headers: { 'x-delay': 200 } });
  channel.sendToQueue(queue, Buffer.from('at'), { headers: { 'x-deliver-at': new Date(start + 400).toISOString() } });
  channel.sendToQueue(queue, Buffer.from('now'));
  assert.deepEqual(await inbox.texts(3), ['now', 'later', 'at']);
  return assert.ok(Date.now() - start >= 400);
});
