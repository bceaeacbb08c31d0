// Command stepaway-tray shows a user the time left, the warning before the deadline, and what is recorded. It runs
// as the user, one in each session.
//
// Failure rules: it decides nothing and is believed in nothing; the only thing that it can ask for is a lock. When
// it is stopped, sessions are secured all the same. Without the enforcer it says so and keeps trying; without a
// notification area it still warns.
package main

// version is set by the build.
var version = "0.1.0-dev"
