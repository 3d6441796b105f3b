// Sends to and receives from the hub of a connection string, and prints what it saw as one line of JSON.
import { EventHubConsumerClient, EventHubProducerClient, earliestEventPosition } from "@azure/event-hubs";

const [connectionString, hub] = process.argv.slice(2);
const producer = new EventHubProducerClient(connectionString, hub);
const partitionIds = await producer.getPartitionIds();
const batch = await producer.createBatch({ partitionId: "0" });
for (let number = 0; number < 50; number += 1) {
  batch.tryAdd({ body: { number }, properties: { number } });
}
await producer.sendBatch(batch);
await producer.sendBatch([{ body: "keyed" }], { partitionKey: "order-1" });
const large = await producer.createBatch({ partitionId: "1" });
large.tryAdd({ body: "x".repeat(900_000) });
await producer.sendBatch(large);
const properties = await producer.getPartitionProperties("0");
await producer.close();

const consumer = new EventHubConsumerClient("$Default", connectionString, hub);
const received = [];
const errors = [];
await new Promise((resolve) => {
  const subscription = consumer.subscribe(
    {
      processEvents: async (events, context) => {
        for (const event of events) {
          const length = JSON.stringify(event.body).length;
          received.push({ partition: context.partitionId, sequence: event.sequenceNumber, length });
        }
        if (received.length >= 52) {
          await subscription.close();
          resolve();
        }
      },
      processError: async (error) => {
        errors.push(error.message);
        resolve();
      },
    },
    { startPosition: earliestEventPosition, trackLastEnqueuedEventProperties: true, maxWaitTimeInSeconds: 1 },
  );
});
await consumer.close();

const unauthorised = new EventHubProducerClient(connectionString.replace(/SharedAccessKey=[^;]+/, "SharedAccessKey=d3Jvbmc="), hub, {
  retryOptions: { maxRetries: 0 },
});
const refusal = await unauthorised.getPartitionIds().then(
  () => "none",
  (error) => error.code,
);
await unauthorised.close();
console.log(JSON.stringify({ partitionIds, lastSequence: properties.lastEnqueuedSequenceNumber, received, errors, refusal }));
