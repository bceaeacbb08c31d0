// Package postgres gives tests a real PostgreSQL server, the one that Debian installs. Only tests and benchmarks import it.
//
// Failure rules: a server that is not installed is an error that says "run `make deps`". A server ends with the process
// that started it, however that ends. It listens on a socket in a directory of its own, and on a port of the loopback
// only where asked to. It keeps to fsync, as a real one does.
package postgres

import (
	"sync"
	"testing"
)

var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Shared is one server for all tests of a package. Its TestMain ends it with EndShared.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = New() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// EndShared ends the server of Shared, if there is one.
func EndShared() {
	if shared.server != nil {
		shared.server.Stop()
	}
}

// Fresh is the URL of a new database on the shared server.
func Fresh(t testing.TB) (address, name string) {
	t.Helper()
	s := Shared(t)
	name, err := s.Database()
	if err != nil {
		t.Fatal(err)
	}
	return s.URL(name), name
}
