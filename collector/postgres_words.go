package collector

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pgConfig reads the URL of a database. Without a word about TLS in it, a database on another machine must show a
// certificate for its name: the driver's own default takes plain text where it finds no better.
func pgConfig(address string) (*pgxpool.Config, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the store's URL cannot be read; want postgres://USER@HOST:PORT/DATABASE") // err would say the password
	}
	q := u.Query()
	if q.Get("sslmode") == "" && os.Getenv("PGSSLMODE") == "" && !local(u, q) {
		q.Set("sslmode", "verify-full")
		u.RawQuery = q.Encode()
	}
	config, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("the store's URL: %w", withoutURL(err))
	}
	if q.Get("pool_max_conns") == "" {
		config.MaxConns = pgConns
	}
	for name, value := range pgSettings {
		if _, set := config.ConnConfig.RuntimeParams[name]; !set || name == "synchronous_commit" {
			config.ConnConfig.RuntimeParams[name] = value
		}
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = pgTries
	}
	return config, nil
}

// local reports whether every host that the URL or the environment names is this machine.
func local(u *url.URL, q url.Values) bool {
	hosts := u.Host
	if hosts == "" {
		hosts = q.Get("host")
	}
	if hosts == "" {
		hosts = os.Getenv("PGHOST")
	}
	for h := range strings.SplitSeq(hosts, ",") {
		if name, _, err := net.SplitHostPort(h); err == nil {
			h = name
		}
		h = strings.Trim(h, "[]")
		ip := net.ParseIP(h)
		if h != "" && h != "localhost" && !strings.HasPrefix(h, "/") && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

// withoutURL takes out of an error of the driver the URL, which may hold a password.
func withoutURL(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		_, rest, _ := strings.Cut(parse.Error(), "`: ")
		return errors.New(rest)
	}
	return err
}

// brokenConn reports whether an error is of the connection, not of what was asked.
func brokenConn(err error) bool {
	var network *net.OpError
	var connect *pgconn.ConnectError
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	return errors.As(err, &network) || errors.As(err, &connect) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, errPartition) || pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed")
}

// pgAdvice says what to do about an error of the database. It never says the password.
func pgAdvice(err error, c *pgx.ConnConfig) error {
	where := fmt.Sprintf("PostgreSQL at %s, database %s, user %s", net.JoinHostPort(c.Host, fmt.Sprint(c.Port)), c.Database, c.User)
	var pg *pgconn.PgError
	advice := "is it running, and is --store right?"
	if errors.As(err, &pg) {
		advice = map[string]string{
			"28P01": "put the password into the file that PGPASSFILE names, or into PGPASSWORD",
			"28000": "pg_hba.conf of the server does not let this user in from here",
			"3D000": "make the database: createdb -O " + c.User + " " + c.Database,
			"42501": "make the user the owner of the database: ALTER DATABASE " + c.Database + " OWNER TO " + c.User,
			"25006": "this server is a standby: name the primary, or several hosts with target_session_attrs=read-write",
		}[pg.Code]
		if advice == "" {
			advice = "see the log of the server"
		}
		err = fmt.Errorf("%s (SQLSTATE %s)", pg.Message, pg.Code)
	}
	if connect := (*pgconn.ConnectError)(nil); errors.As(err, &connect) {
		err = inOneLine(connect)
	}
	return fmt.Errorf("open the store, %s: %w; %s", where, err, advice)
}

// inOneLine leaves out of the driver's list of all its attempts what is said twice.
func inOneLine(err error) error {
	_, text, found := strings.Cut(err.Error(), "`: ")
	if !found {
		_, text, _ = strings.Cut(err.Error(), "`:")
	}
	var parts []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(parts, line) {
			parts = append(parts, line)
		}
	}
	return errors.New(strings.Join(parts, "; "))
}
