package encode

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// message is a message of RFC 5424, read strictly by its ABNF.
type message struct {
	priority             int
	host, app, proc, msg string
	id                   string
	data                 map[string]map[string]string
}

var headerABNF = regexp.MustCompile(`^<([0-9]{1,3})>1 (\S+) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) `)

func parseMessage(s string) (m message, err error) {
	h := headerABNF.FindStringSubmatch(s)
	if h == nil {
		return m, errors.New("no header")
	}
	if _, err := time.Parse("2006-01-02T15:04:05.999999Z", h[2]); err != nil {
		return m, err
	}
	m.priority, _ = strconv.Atoi(h[1])
	m.host, m.app, m.proc, m.id = h[3], h[4], h[5], h[6]
	rest, err := m.parseData(s[len(h[0]):])
	if err != nil {
		return m, err
	}
	text, ok := strings.CutPrefix(rest, " "+bom)
	if !ok {
		return m, fmt.Errorf("MSG without space and BOM: %q", rest)
	}
	m.msg = text
	return m, nil
}

func (m *message) parseData(s string) (rest string, err error) {
	m.data = map[string]map[string]string{}
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		return rest, nil
	}
	for strings.HasPrefix(s, "[") {
		id, after, ok := strings.Cut(s[1:], " ")
		if !ok || id == "" || len(id) > 32 || strings.ContainsAny(id, "=]\"") || m.data[id] != nil {
			return "", fmt.Errorf("SD-ID in %q", s)
		}
		m.data[id] = map[string]string{}
		if s, err = parseParams(after, m.data[id]); err != nil {
			return "", err
		}
	}
	return s, nil
}

func parseParams(s string, into map[string]string) (rest string, err error) {
	for {
		name, after, ok := strings.Cut(s, `="`)
		if !ok || name == "" || len(name) > 32 || strings.ContainsAny(name, " =]\"") {
			return "", fmt.Errorf("PARAM-NAME in %q", s)
		}
		if _, twice := into[name]; twice {
			return "", fmt.Errorf("%s twice", name)
		}
		value, after, err := parseValue(after)
		if err != nil {
			return "", err
		}
		into[name] = value
		switch {
		case strings.HasPrefix(after, "]"):
			return after[1:], nil
		case strings.HasPrefix(after, " "):
			s = after[1:]
		default:
			return "", fmt.Errorf("after a value: %q", after)
		}
	}
}

func parseValue(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], nil
		case ']':
			return "", "", errors.New("] not escaped")
		case '\\':
			if i++; i == len(s) || !strings.ContainsRune(`"\]`, rune(s[i])) {
				return "", "", errors.New(`\ not escaped`)
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", errors.New("value without end")
}

// unframe splits what Frame has put together, RFC 5425.
func unframe(s string) (ms []string, err error) {
	for s != "" {
		length, rest, ok := strings.Cut(s, " ")
		n, err := strconv.Atoi(length)
		if err != nil || !ok || n > len(rest) || n == 0 || length[0] == '0' {
			return nil, fmt.Errorf("frame of length %q", length)
		}
		ms, s = append(ms, rest[:n]), rest[n:]
	}
	return ms, nil
}

// parseDICOM reads a message back and gives its details as fields.
func parseDICOM(body []byte) (m dicomMessage, fields map[string]string, err error) {
	if err := xml.Unmarshal(body, &m); err != nil {
		return m, nil, err
	}
	fields = map[string]string{}
	for _, d := range m.Object.Details {
		v, err := base64.StdEncoding.DecodeString(d.Value)
		if err != nil {
			return m, nil, err
		}
		fields[d.Type] = string(v)
	}
	return m, fields, nil
}

func parseFHIR(body []byte) (f fhirEvent, fields map[string]string, err error) {
	if err := json.Unmarshal(body, &f); err != nil {
		return f, nil, err
	}
	fields = map[string]string{}
	for _, d := range f.Entity[0].Detail {
		fields[d.Type] = d.Value
	}
	return f, fields, nil
}

// parseOTLP gives the attributes of every record as fields.
func parseOTLP(body []byte) (all []map[string]string, err error) {
	var logs otlpLogs
	if err := json.Unmarshal(body, &logs); err != nil {
		return nil, err
	}
	for _, r := range logs.ResourceLogs {
		for _, l := range r.ScopeLogs[0].LogRecords {
			fields := map[string]string{}
			for _, a := range l.Attributes {
				name := strings.TrimPrefix(a.Key, app+".")
				if a.Key == "log.record.uid" {
					name = "id"
				}
				switch v := a.Value; {
				case v.String != nil:
					fields[name] = *v.String
				case v.Bool != nil:
					fields[name] = strconv.FormatBool(*v.Bool)
				default:
					if _, err := strconv.ParseInt(v.Int, 10, 64); err != nil {
						return nil, err
					}
					fields[name] = v.Int
				}
			}
			all = append(all, fields)
		}
	}
	return all, nil
}
