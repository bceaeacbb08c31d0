package file

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"stepaway/policy"
)

// noon is some time at which policies are looked at.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// layer stands for what lies over the files, such as group policy, whose real source is tested on its own system.
type layer struct {
	docs    []policy.Document
	err     error
	changes chan struct{}
}

func (l layer) Documents() ([]policy.Document, error) {
	if l.docs == nil && l.err == nil {
		return nil, fs.ErrNotExist
	}
	return l.docs, l.err
}

func (l layer) Watch(ctx context.Context) (<-chan struct{}, error) {
	if l.changes == nil {
		return nil, fmt.Errorf("this layer cannot be watched")
	}
	context.AfterFunc(ctx, func() { close(l.changes) })
	return l.changes, nil
}

// choices are values for some keys; the first of each is not the default.
var choices = map[string][]string{
	"limit": {"10m", "20m", "15m"}, "action": {"sign-out", "disconnect", "lock"}, "warning": {"1m", "5m"},
	"lock.proof": {"claim", "greeter"}, "lock.fallback": {"[/a, -n]", "[]"}, "lock.terminate": {"true", "false"},
	"roles": {"[{name: r, groups: [g], limit: 5m}]", "[]"}, "classes": {"[{name: ward}]", "[{name: ward, limit: 1h}, {name: x}]"},
	"collector.url": {"https://a", "https://b"}, "version": {"3", "4"},
}

// draw makes a document of some settings.
func draw(r *rand.Rand) (set map[string]string, text string) {
	set = map[string]string{}
	var b strings.Builder
	sections := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(choices)) {
		if r.IntN(3) > 0 {
			continue
		}
		set[key] = choices[key][r.IntN(len(choices[key]))]
		if section, name, sub := strings.Cut(key, "."); sub {
			sections[section] = append(sections[section], name+": "+set[key])
		} else {
			fmt.Fprintf(&b, "%s: %s\n", key, set[key])
		}
	}
	for section, fields := range sections {
		fmt.Fprintf(&b, "%s: {%s}\n", section, strings.Join(fields, ", "))
	}
	return set, b.String()
}

// TestPrecedence holds real files, drop-ins and a layer over them against a model: a later source's values replace an
// earlier one's key by key, lists as a whole, and every value tells its source.
func TestPrecedence(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 3))
	for range 300 {
		p := aPlace(t)
		site := Site{Files: p.s}
		model, source := map[string]string{}, map[string]string{}
		use := func(name string) (text string) {
			set, text := draw(r)
			for k, v := range set {
				model[k], source[k] = v, name
			}
			return text
		}
		if r.IntN(5) > 0 {
			p.put(t, use(p.s.Path))
		}
		for _, n := range []string{"05-all.yaml", "10.yaml", "9.yaml"} { // in the order of their names
			if path := p.dir + "/etc/policy.d/" + n; r.IntN(2) == 0 {
				put(t, path, use(path))
			}
		}
		if r.IntN(2) == 0 {
			const name = `HKLM\Software\Policies\Stepaway`
			site.Over = append(site.Over, layer{docs: []policy.Document{{Name: name, Text: []byte(use(name)), Made: true}}})
		}
		if r.IntN(2) == 0 {
			site.Over = append(site.Over, layer{}) // not there
		}
		l, err := site.Load()
		if len(source) == 0 && err != nil {
			l, err = policy.Loaded{Policy: policy.Default()}, nil
		}
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for k, v := range model {
			if section, name, sub := strings.Cut(k, "."); sub {
				k, v = section, "{"+name+": "+v+"}"
			}
			fmt.Fprintf(&b, "---\n%s: %s\n", k, v)
		}
		want := overlaid(t, b.String())
		if l.Policy.Hash() != want.Hash() {
			t.Fatalf("in force %+v\nwant %+v\nof %v", l.Policy, want, model)
		}
		for _, s := range l.Settings() {
			from := source[s.Key]
			if from == "" {
				from = policy.BuiltIn
			}
			if s.Source != from {
				t.Fatalf("%s comes from %q, want %q", s.Key, s.Source, from)
			}
		}
	}
}

// overlaid parses each part as a document of its own.
func overlaid(t *testing.T, text string) *policy.Policy {
	var docs []policy.Document
	for _, part := range strings.Split(text, "---\n") {
		docs = append(docs, policy.Document{Name: "model", Text: []byte(part)})
	}
	l, err := policy.Parse(docs)
	if err != nil {
		t.Fatal(err)
	}
	return &l.Policy
}

// TestABrokenLayerTakesNothing: what lies over the files is there for a reason; without it they alone could be weaker.
func TestABrokenLayerTakesNothing(t *testing.T) {
	p := aPlace(t)
	p.put(t, "limit: 24h")
	strict := layer{docs: []policy.Document{{Name: "group policy", Text: []byte("limit: 5m")}}}
	k := p.k
	if v := InForce(Site{Files: p.s, Over: []Layer{strict}}, &k, noon); v.Loaded.Policy.Limit != 5*m || v.Err != nil {
		t.Fatalf("%+v", v)
	}
	for name, l := range map[string]layer{
		"unreadable": {err: os.ErrPermission},
		"wrong":      {docs: []policy.Document{{Name: "group policy", Text: []byte("limit: never")}}},
	} {
		v := InForce(Site{Files: p.s, Over: []Layer{l}}, &k, noon)
		if v.Loaded.Policy.Limit != 5*m || v.Err == nil || v.From != "last good" {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestSiteWatchesEveryLayer(t *testing.T) {
	p := aPlace(t)
	p.put(t, "limit: 10m")
	over := layer{changes: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	changed, err := Site{Files: p.s, Over: []Layer{over, layer{}}}.Watch(ctx)
	if err == nil || !strings.Contains(err.Error(), "cannot be watched") {
		t.Errorf("error %v does not tell of the layer that cannot be watched", err)
	}
	over.changes <- struct{}{}
	<-changed
	p.put(t, "limit: 9m")
	<-changed
	was := runtime.NumGoroutine()
	cancel()
	for end := time.Now().Add(waits); runtime.NumGoroutine() > was-2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines of %d are left", runtime.NumGoroutine(), was)
		}
	}
}
