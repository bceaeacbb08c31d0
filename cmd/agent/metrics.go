package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"stepaway/link"
	"stepaway/metrics"
)

// metrics is the file that node_exporter's textfile collector may read.
func (p paths) metrics() string { return filepath.Join(p.runtime, "metrics", "stepaway.prom") }

// publish writes the metrics beside the loop, the newest that there is, until the agent ends.
func (a *agent) publish(done <-chan struct{}) func(link.Status) {
	next := make(chan link.Status, 1)
	a.work.Go(func() {
		said := ""
		for {
			select {
			case <-done:
				return
			case st := <-next:
				err := replaceMetrics(a.paths.metrics(), metrics.Text(st, time.Now()))
				if err != nil && err.Error() != said {
					said = err.Error()
					a.log.Warn("metrics not written", "error", err)
				}
			}
		}
	})
	return func(st link.Status) {
		select {
		case next <- st:
		default: // the disk hangs; the next one will do
		}
	}
}

// replaceMetrics puts a whole new file in the place of the old one.
func replaceMetrics(path, text string) error {
	dir := filepath.Dir(path)
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		err = os.Chmod(dir, 0o755) // whatever the umask is
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the directory of the metrics: %w", err)
	}
	next := path + ".new" // not a name that a collector reads
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the metrics: %w", err)
	}
	if err := os.Chmod(next, 0o644); err != nil {
		return fmt.Errorf("write the metrics: %w", err)
	}
	return os.Rename(next, path)
}
