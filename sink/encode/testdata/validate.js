// validate.js MODULES FILE: validates each line of FILE as a FHIR R4 resource with the npm package fhir, offline. Prints one
// line for each resource with what is wrong with it, empty if nothing is. That the value set of subtypes does not have
// Stepaway's own codes is no fault: its binding is extensible.
const fs = require('fs');
const path = require('path');
const { Fhir } = require(path.join(process.argv[2], 'fhir'));
const fhir = new Fhir();
for (const line of fs.readFileSync(process.argv[3], 'utf8').trim().split('\n')) {
  const found = fhir.validate(JSON.parse(line), { errorOnUnexpected: true }).messages
    .filter((m) => m.severity === 'error' || m.severity === 'fatal' || m.severity === 'warning')
    .filter((m) => !/^Code "[a-z.]+" \(urn:uuid:[0-9a-f-]+\) not found in value set$/.test(m.message) || !m.location.includes('.subtype['))
    .map((m) => `${m.severity} ${m.location}: ${m.message}`);
  console.log(found.join('; '));
}
