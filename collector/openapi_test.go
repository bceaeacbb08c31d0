package collector

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"stepaway/audit"
	"stepaway/uplink"
)

// node is a part of the description.
type node = map[string]any

// described is docs/openapi.yaml.
type described struct{ root node }

func readDescription(t *testing.T) *described {
	t.Helper()
	body, err := os.ReadFile("../docs/openapi.yaml")
	must(t, err)
	d := &described{}
	must(t, yaml.Unmarshal(body, &d.root))
	return d
}

// at goes down by names, through references.
func (d *described) at(n any, names ...string) node {
	for {
		m, _ := n.(node)
		if ref, ok := m["$ref"].(string); ok {
			n = d.at(d.root, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
			continue
		}
		if len(names) == 0 {
			return m
		}
		n, names = m[names[0]], names[1:]
	}
}

func (d *described) operation(path, method string) node {
	return d.at(d.root, "paths", path, strings.ToLower(method))
}

// wrong says how a value is not what a schema wants.
func (d *described) wrong(schema any, v any) error {
	s := d.at(schema)
	if enum, ok := s["enum"].([]any); ok && !slices.ContainsFunc(enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(v) }) {
		return fmt.Errorf("%v is none of %v", v, enum)
	}
	if want, ok := s["const"]; ok && want != v {
		return fmt.Errorf("%v is not %v", v, want)
	}
	switch v := v.(type) {
	case string:
		return wrongString(s, v)
	case float64:
		least, bounded := s["minimum"].(int)
		if most, ok := s["maximum"].(int); ok && v > float64(most) || bounded && v < float64(least) || s["type"] != "integer" {
			return fmt.Errorf("number %v", v)
		}
	case []any:
		if most, ok := s["maxItems"].(int); s["type"] != "array" || ok && len(v) > most || len(v) < s["minItems"].(int) {
			return fmt.Errorf("array of %d", len(v))
		}
		for _, e := range v {
			if err := d.wrong(s["items"], e); err != nil {
				return err
			}
		}
	case map[string]any:
		return d.wrongObject(s, v)
	default:
		return fmt.Errorf("%T", v)
	}
	return nil
}

func wrongString(s node, v string) error {
	if s["type"] != "string" && s["enum"] == nil && s["const"] == nil {
		return fmt.Errorf("%q where %v was due", v, s["type"])
	}
	if most, ok := s["maxLength"].(int); ok && len(v) > most {
		return fmt.Errorf("%q is longer than %d", v, most)
	}
	if p, ok := s["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
		return fmt.Errorf("%q is not like %s", v, p)
	}
	return nil
}

func (d *described) wrongObject(s node, v map[string]any) error {
	if s["type"] != "object" {
		return fmt.Errorf("object where %v was due", s["type"])
	}
	properties, closed := s["properties"].(node)
	if !closed {
		return nil
	}
	if s["additionalProperties"] != false {
		return fmt.Errorf("%v is not closed", properties)
	}
	for _, name := range s["required"].([]any) {
		if _, there := v[name.(string)]; !there {
			return fmt.Errorf("%s is missing", name)
		}
	}
	for name, e := range v {
		p, known := properties[name]
		if !known {
			return fmt.Errorf("%s is not described", name)
		}
		if err := d.wrong(p, e); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// TestDescriptionHasEveryPath and method, says who may use it, and bounds its body as the server does.
func TestDescriptionHasEveryPath(t *testing.T) {
	d := readDescription(t)
	s := &Server{}
	known := map[string]bool{"/{other}": true}
	for _, rt := range s.table() {
		known[rt.path] = true
		op := d.operation(rt.path, rt.method)
		if op == nil {
			t.Errorf("%s %s is not described", rt.method, rt.path)
			continue
		}
		open, said := op["security"].([]any)
		if anyone := said && len(open) == 0; anyone != rt.anyone {
			t.Errorf("%s: for anyone: described %v, is %v", rt.path, anyone, rt.anyone)
		}
		if methods := d.at(d.root, "paths", rt.path); len(methods) != 1 {
			t.Errorf("%s: %v", rt.path, slices.Collect(maps.Keys(methods)))
		}
		want := map[string]int{uplink.PathEnroll: uplink.MaxAsk, uplink.PathRenew: uplink.MaxAsk, uplink.PathEvents: uplink.MaxBatch}[rt.path]
		if got, _ := d.at(op, "requestBody")["x-max-bytes"].(int); got != want {
			t.Errorf("%s: x-max-bytes %d, is %d", rt.path, got, want)
		}
	}
	for path := range d.at(d.root, "paths") {
		if !known[path] {
			t.Errorf("%s is described and not there", path)
		}
	}
	if most := d.at(d.root, "components", "schemas", "Batch", "properties", "events")["maxItems"]; most != uplink.MaxEvents {
		t.Errorf("maxItems %v, is %d", most, uplink.MaxEvents)
	}
	if most := d.at(d.root, "components", "schemas", "Batch", "properties", "events", "items")["x-max-bytes"]; most != audit.MaxEncoded {
		t.Errorf("an event: x-max-bytes %v, is %d", most, audit.MaxEncoded)
	}
	again := d.at(d.root, "components", "headers", "Retry-After", "schema")
	if again["minimum"] != againMin || again["maximum"] != againMax {
		t.Errorf("Retry-After %v, is %d to %d", again, againMin, againMax)
	}
}

// TestDescriptionHasEveryField of every message, and no other.
func TestDescriptionHasEveryField(t *testing.T) {
	d := readDescription(t)
	messages := map[string]any{"Enroll": uplink.Enroll{}, "Renew": uplink.Renew{}, "Granted": uplink.Granted{}, "Batch": uplink.Batch{}, "Ack": uplink.Ack{},
		"About": uplink.About{}, "Time": uplink.Time{}}
	for name, s := range d.at(d.root, "components", "schemas") {
		if d.at(s)["type"] == "object" && messages[name] == nil {
			t.Errorf("%s is described and no message", name)
		}
	}
	for name, m := range messages {
		s := d.at(d.root, "components", "schemas", name)
		properties := d.at(s, "properties")
		typ := reflect.TypeOf(m)
		for i := range typ.NumField() {
			field, optional, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if properties[field] == nil || slices.Contains(s["required"].([]any), any(field)) != (optional == "") {
				t.Errorf("%s.%s: described %v", name, field, properties[field])
			}
		}
		if len(properties) != typ.NumField() || s["additionalProperties"] != false {
			t.Errorf("%s has %d fields, %d described", name, typ.NumField(), len(properties))
		}
	}
}

// exercise keeps what was seen of the server beside its description.
type exercise struct {
	*described
	t    *testing.T
	seen map[string]bool // "POST /v1/events 200", or with a code at the end
}

// ask sends a request and holds the answer against the description. It answers status and code.
func (x *exercise) ask(s *site, c *http.Client, method, path string, body []byte, change func(*http.Request)) (int, string) {
	x.t.Helper()
	req, err := http.NewRequest(method, s.url+path, bytes.NewReader(body))
	must(x.t, err)
	req.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(req)
	}
	resp, err := c.Do(req)
	must(x.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	must(x.t, err)
	named, _, _ := strings.Cut(path, "?")
	if x.at(x.root, "paths")[named] == nil {
		named, method = "/{other}", http.MethodGet
	}
	if resp.StatusCode == http.StatusMethodNotAllowed {
		method = resp.Header.Get("Allow")
	}
	what := fmt.Sprintf("%s %s %d", method, named, resp.StatusCode)
	said := x.at(x.operation(named, method), "responses", strconv.Itoa(resp.StatusCode))
	if said == nil {
		x.t.Errorf("%s is not described: %s", what, answer)
		return resp.StatusCode, ""
	}
	code, err := x.wrongAnswer(said, resp, answer)
	if err != nil {
		x.t.Errorf("%s: %v", what, err)
	}
	x.seen[strings.TrimSpace(what+" "+code)] = true
	return resp.StatusCode, code
}

func (x *exercise) wrongAnswer(said node, resp *http.Response, answer []byte) (code string, err error) {
	for name, h := range x.at(said, "headers") {
		v := resp.Header.Get(name)
		value := any(v)
		if n, err := strconv.ParseFloat(v, 64); err == nil {
			value = n
		}
		if err := x.wrong(x.at(h, "schema"), value); err != nil || v == "" {
			return "", fmt.Errorf("header %s: %q: %v", name, v, err)
		}
	}
	for name := range resp.Header {
		if x.at(said, "headers", name) == nil && name != "Content-Type" && name != "Content-Length" {
			return "", fmt.Errorf("header %s is not described", name)
		}
	}
	schema := x.at(said, "content", "application/json", "schema")
	if schema == nil {
		if len(answer) > 0 {
			return "", fmt.Errorf("a body that is not described: %s", answer)
		}
		return "", nil
	}
	var v map[string]any
	if err := json.Unmarshal(answer, &v); err != nil || resp.Header.Get("Content-Type") != "application/json" || len(answer) > uplink.MaxAnswer {
		return "", fmt.Errorf("%s: %v", answer, err)
	}
	code, _ = v["code"].(string)
	return code, x.wrong(schema, v)
}

// everything lists what the description says can be seen.
func (x *exercise) everything() (all []string) {
	for path, methods := range x.at(x.root, "paths") {
		for method := range methods.(node) {
			for status, said := range x.at(x.operation(path, method), "responses") {
				what := strings.ToUpper(method) + " " + path + " " + status
				codes, _ := x.at(said, "content", "application/json", "schema", "properties", "code")["enum"].([]any)
				for _, code := range codes {
					all = append(all, what+" "+fmt.Sprint(code))
				}
				if codes == nil {
					all = append(all, what)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// TestDescriptionIsTrue brings the server to give every answer that is described, and finds no other.
func TestDescriptionIsTrue(t *testing.T) {
	x := &exercise{readDescription(t), t, map[string]bool{}}
	s := newSite(t)
	nobody, ws := s.device(t, "", time.Now()), s.enrolled(t, "ws-1")
	unnamed := s.device(t, "a b", time.Now())
	revoked := s.enrolled(t, "ws-2")
	_, err := s.store.Revoke(context.Background(), "ws-2", time.Now())
	must(t, err)
	tok, err := NewToken(context.Background(), s.a, s.store, "ws-3", "", time.Hour, time.Now())
	must(t, err)
	_, csr, _ := newCSR(t)
	encode := func(m any) []byte { b, err := json.Marshal(m); must(t, err); return b }
	nonce := "?nonce=" + strings.Repeat("0a", 16)
	good := map[string][]byte{uplink.PathEnroll: encode(uplink.Enroll{Secret: tok.Secret, CSR: csr}), uplink.PathRenew: encode(uplink.Renew{CSR: csr})}
	c := newChain(t, "ws-1", "00000000000000aa", 4)
	good[uplink.PathEvents] = encode(uplink.Batch{Device: "ws-1", Epoch: c.epoch, Events: c.bodies})

	x.refusals(s, ws, good, c)
	for _, rt := range (&Server{}).table() {
		body, path := good[rt.path], rt.path
		if path == uplink.PathTime {
			x.ask(s, nobody, rt.method, path, nil, nil)
			x.ask(s, nobody, rt.method, path+"?nonce=0A", nil, nil)
			path += nonce
		}
		for _, method := range []string{"PUT", "DELETE", "GET", "POST"} {
			if method != rt.method {
				x.ask(s, nobody, method, path, nil, nil)
			}
		}
		if body != nil {
			x.ask(s, ws, rt.method, path, body, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
		}
		if rt.anyone {
			x.ask(s, nobody, rt.method, path, body, nil)
			x.ask(s, nobody, rt.method, path, body, nil) // a token is spent now
			continue
		}
		for _, client := range []*http.Client{ws, nobody, unnamed, revoked} {
			x.ask(s, client, rt.method, path, body, nil)
		}
	}
	x.ask(s, ws, http.MethodPost, uplink.PathEvents, encode(uplink.Batch{Device: "ws-9", Epoch: c.epoch, Events: c.bodies}), nil)
	x.ask(s, nobody, http.MethodGet, "/v2/events", nil, nil)
	x.ask(s, nobody, http.MethodPost, "/", nil, nil)
	for _, change := range []func(*Server){
		func(v *Server) { v.Now = func() time.Time { return time.Now().Add(deviceLife + time.Hour) } },
		func(v *Server) { v.Now = func() time.Time { return time.Now().Add(3 * deviceLife) } },
		func(v *Server) { v.busy, v.strangers = make(chan struct{}), make(chan struct{}) },
		func(v *Server) { v.inside["ws-1"] = maxPerDevice },
	} {
		x.each(s.another(t, change), ws, nobody, good, nonce)
	}
	broken := s.another(t, nil)
	must(t, broken.store.Close())
	x.each(broken, ws, nobody, good, nonce)

	for _, what := range x.everything() {
		if !x.seen[what] {
			t.Errorf("described, and not seen: %s", what)
		}
	}
}

// each asks for everything once.
func (x *exercise) each(s *site, ws, nobody *http.Client, good map[string][]byte, nonce string) {
	x.t.Helper()
	for _, rt := range (&Server{}).table() {
		client, path := ws, rt.path
		if rt.anyone {
			client = nobody
		}
		if path == uplink.PathTime {
			path += nonce
		}
		x.ask(s, client, rt.method, path, good[rt.path], nil)
	}
}

// refusals sends what is not as described: every field of every request left out, of another type and beyond its bounds, one
// more field, and too many bytes.
func (x *exercise) refusals(s *site, ws *http.Client, good map[string][]byte, c *chain) {
	x.t.Helper()
	for path, body := range good {
		schema := x.at(x.operation(path, http.MethodPost), "requestBody", "content", "application/json", "schema")
		ask := func(what string, change func(m map[string]json.RawMessage)) {
			var m map[string]json.RawMessage // events keep their bytes
			must(x.t, json.Unmarshal(body, &m))
			change(m)
			b, err := json.Marshal(m)
			must(x.t, err)
			var v any
			must(x.t, json.Unmarshal(b, &v))
			if x.wrong(schema, v) == nil {
				x.t.Errorf("%s %s: as described after all", path, what)
			}
			if status, code := x.ask(s, ws, http.MethodPost, path, b, nil); status != 400 || code != uplink.CodeMalformed {
				x.t.Errorf("%s %s: %d %s", path, what, status, code)
			}
		}
		ask("one more field", func(m map[string]json.RawMessage) { m["more"] = []byte("1") })
		for name := range x.at(schema, "properties") {
			ask(name+" as a number", func(m map[string]json.RawMessage) { m[name] = []byte("1.5") })
			if slices.Contains(schema["required"].([]any), any(name)) && name != "device" { // another device is a refusal of its own
				ask("without "+name, func(m map[string]json.RawMessage) { delete(m, name) })
			}
		}
		most := x.at(x.operation(path, http.MethodPost), "requestBody")["x-max-bytes"].(int)
		long := append(bytes.Clone(body), bytes.Repeat([]byte(" "), most-len(body)+1)...)
		if status, code := x.ask(s, ws, http.MethodPost, path, long, nil); status != 400 || code != uplink.CodeMalformed {
			x.t.Errorf("%s with %d bytes: %d %s", path, len(long), status, code)
		}
		x.ask(s, ws, http.MethodPost, path, append(bytes.Clone(body), "{}"...), nil)
	}
	batch := func(change func(*uplink.Batch)) []byte {
		b := uplink.Batch{Device: "ws-1", Epoch: c.epoch, Events: slices.Clone(c.bodies)}
		change(&b)
		body, err := json.Marshal(b)
		must(x.t, err)
		return body
	}
	for what, want := range map[string]struct {
		change func(*uplink.Batch)
		code   string
	}{
		"epoch of 17 digits": {func(b *uplink.Batch) { b.Epoch += "0" }, uplink.CodeMalformed},
		"no events":          {func(b *uplink.Batch) { b.Events = b.Events[:0] }, uplink.CodeMalformed},
		"501 events":         {func(b *uplink.Batch) { b.Events = slices.Repeat(b.Events[:1], 501) }, uplink.CodeMalformed},
		"a hole":             {func(b *uplink.Batch) { b.Events = b.Events[2:]; b.Events[0] = c.bodies[0] }, uplink.CodeMalformed},
		"a newer event": {func(b *uplink.Batch) {
			b.Events[0] = bytes.Replace(b.Events[0], []byte("lock.proved"), []byte("lock.newer"), 1)
		}, uplink.CodeEvent},
		"a newer field": {func(b *uplink.Batch) { b.Events[0] = append([]byte(`{"newer":1,`), b.Events[0][1:]...) }, uplink.CodeEvent},
		"a long event": {func(b *uplink.Batch) {
			b.Events[0] = []byte(`{"v":1,"x":"` + strings.Repeat("x", audit.MaxEncoded) + `"}`)
		}, uplink.CodeEvent},
	} {
		if status, code := x.ask(s, ws, http.MethodPost, uplink.PathEvents, batch(want.change), nil); status != 400 || code != want.code {
			x.t.Errorf("%s: %d %s", what, status, code)
		}
	}
}

// TestProtocolSaysTheLimits that the programs have.
func TestProtocolSaysTheLimits(t *testing.T) {
	body, err := os.ReadFile("../docs/protocol.md")
	must(t, err)
	for _, row := range []string{
		fmt.Sprintf("of one event | %d; %.2f MiB; %d KiB |", uplink.MaxEvents, float64(uplink.MaxBatch)/(1<<20), audit.MaxEncoded>>10),
		fmt.Sprintf("of headers | %d KiB; %d KiB; %d KiB |", uplink.MaxAsk>>10, uplink.MaxAnswer>>10, uplink.MaxHeader>>10),
		fmt.Sprintf("connecting included | %.0f s |", uplink.ExchangeTime.Seconds()),
		fmt.Sprintf("a connection without one | %.0f s; %.0f s |", strangerBody.Seconds(), uplink.StrangerTime.Seconds()),
		fmt.Sprintf("without a certificate | %d; %d; %d |", maxPerDevice, maxAtOnce, maxStrangers),
		fmt.Sprintf("of devices at once | %d MiB |", maxBodies>>20),
		fmt.Sprintf("in all | %d; %d |", maxOfDevice, maxConnections),
		fmt.Sprintf("Retry-After, %d to %d s", againMin, againMax),
		fmt.Sprintf("Life: %.0f days", deviceLife.Hours()/24),
	} {
		if !strings.Contains(string(body), row) {
			t.Errorf("not in docs/protocol.md: %s", row)
		}
	}
}
