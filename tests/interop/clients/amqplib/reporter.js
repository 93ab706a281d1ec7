// One line per test, as the Python tests print it; the error follows a failure, indented.
'use strict';

const { inspect } = require('node:util');

module.exports = async function* report(events) {
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const skipped = data.skip !== undefined;
    const outcome = skipped ? 'skip' : type === 'test:pass' ? 'ok' : 'FAIL';
    const name = skipped && data.skip !== true ? `${data.name}: ${data.skip}` : data.name;
    const seconds = ((data.details.duration_ms ?? 0) / 1000).toFixed(2);
    yield `${outcome.padEnd(5)} ${'amqplib'.padEnd(10)} ${name} (${seconds} s)\n`;
    if (outcome !== 'FAIL') continue;
    const error = data.details.error?.cause ?? data.details.error;
    for (const line of inspect(error).split('\n')) yield `      ${line}\n`;
  }
};
