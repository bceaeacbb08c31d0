//go:build !linux

package postgres

import "errors"

var errSystem = errors.New("not on this system yet")

// Server is one server with a data directory.
type Server struct{}

// New makes a data directory and starts a server on it.
func New(...string) (*Server, error) { return nil, errSystem }

// Tool is the path of one of the server's programs.
func Tool(string) (string, error) { return "", errSystem }

// Stop ends the server.
func (*Server) Stop() {}

// URL is that of a database.
func (*Server) URL(string) string { return "" }

// SQL runs statements in a database.
func (*Server) SQL(_, _ string) (string, error) { return "", errSystem }

// Database makes a new database.
func (*Server) Database() (string, error) { return "", errSystem }
