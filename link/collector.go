package link

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"stepaway/durable"
)

// Collector is what the policy in force says of the collector. The enforcer alone decides which policy is in force, so it
// keeps this in a file in its runtime directory, where the courier finds it also while no enforcer runs.
type Collector struct {
	URL   string `json:"url"`             // "": the one enrolled at
	CA    string `json:"ca,omitempty"`    // file with its certificate authority; "": the one received at enrolment
	Proxy string `json:"proxy,omitempty"` // http://HOST:PORT or https://HOST:PORT; "": none
}

// CollectorFile is the file in the enforcer's runtime directory, in a directory of its own so that watching it costs no
// wake-ups.
func CollectorFile(runtime string) string {
	return filepath.Join(runtime, "policy", "collector.json")
}

// Save writes the file for everybody to read, whole or not at all. What has not changed is not written again.
func (c Collector) Save(path string) error {
	if old, err := LoadCollector(path); err == nil && old == c {
		return nil
	}
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("tell the courier of the collector: %w", err)
	}
	if err := writeReadable(path, b); err != nil {
		return fmt.Errorf("tell the courier of the collector: %w", err)
	}
	return nil
}

// writeReadable makes the directory and the file for everybody to read, whatever mask the service has.
func writeReadable(path string, b []byte) error {
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return durable.Write(path, b, 0o644)
}

// LoadCollector reads the file; fs.ErrNotExist while no enforcer has written it. Its directory must be one that only the
// enforcer writes.
func LoadCollector(path string) (Collector, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Collector{}, fmt.Errorf("collector by policy: %w", err)
	}
	var c Collector
	if err := json.Unmarshal(b, &c); err != nil {
		return Collector{}, fmt.Errorf("collector by policy: %s: %w", path, err)
	}
	return c, nil
}
