package courier

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryCodeIsExplained: docs/operate.md says what to do for each, and for nothing else.
func TestEveryCodeIsExplained(t *testing.T) {
	body, err := os.ReadFile("../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(body), "## Why records do not arrive")
	if !found {
		t.Fatal("no section")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var told []string
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-z, ]+) \|`).FindAllStringSubmatch(section, -1) {
		told = append(told, strings.Split(row[1], ", ")...)
	}
	told = slices.DeleteFunc(told, func(s string) bool { return s == "code" })
	for _, code := range told {
		if Codes[code] == "" {
			t.Errorf("%s is explained and does not exist", code)
		}
	}
	for code := range Codes {
		if !slices.Contains(told, code) {
			t.Errorf("%s is not explained", code)
		}
	}
}
