'use strict';
// A table too large to be written in a moment.
const SERVICES = 10_000;
const DESTINATIONS = 5;

function* changes(services, destinations) {
  for (let i = 0; i < services; i++) {
    const service = { protocol: 'tcp', address: `10.1.${i >> 8}.${i & 255}`, port: 80 };
    yield { op: 'addService', service };
    for (let j = 1; j <= destinations; j++) {
      const destination = { address: `192.0.2.${j}`, port: 8080 };
      yield { op: 'addDestination', service, destination };
    }
  }
}

module.exports = { SERVICES, DESTINATIONS, changes };
