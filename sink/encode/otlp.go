package encode

import (
	"encoding/json"
	"fmt"
	"strconv"
)

type otlpLogs struct {
	ResourceLogs []*otlpResourceLogs `json:"resourceLogs"`
}

type otlpResourceLogs struct {
	Resource  otlpResource    `json:"resource"`
	ScopeLogs []otlpScopeLogs `json:"scopeLogs"`
}

type otlpResource struct {
	Attributes []otlpAttribute `json:"attributes"`
}

type otlpScopeLogs struct {
	Scope      otlpScope    `json:"scope"`
	LogRecords []otlpRecord `json:"logRecords"`
}

type otlpScope struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type otlpRecord struct {
	Time           string          `json:"timeUnixNano"`
	Observed       string          `json:"observedTimeUnixNano"`
	SeverityNumber int             `json:"severityNumber"`
	SeverityText   string          `json:"severityText"`
	EventName      string          `json:"eventName"`
	Body           otlpValue       `json:"body"`
	Attributes     []otlpAttribute `json:"attributes"`
}

type otlpAttribute struct {
	Key   string    `json:"key"`
	Value otlpValue `json:"value"`
}

// otlpValue is AnyValue: one of its fields.
type otlpValue struct {
	String *string `json:"stringValue,omitempty"`
	Int    string  `json:"intValue,omitempty"` // protobuf's JSON writes 64 bits as text
	Bool   *bool   `json:"boolValue,omitempty"`
}

// OTLP gives events as the body of a request to /v1/logs, one resource a device. The event's id is the attribute
// log.record.uid, by which OpenTelemetry tells that two records are one.
func OTLP(es []Entry) ([]byte, error) {
	logs := otlpLogs{ResourceLogs: []*otlpResourceLogs{}}
	of := map[[2]string]*otlpResourceLogs{}
	for _, e := range es {
		key := [2]string{string(e.Device), e.Agent}
		if of[key] == nil {
			of[key] = e.otlpResource()
			logs.ResourceLogs = append(logs.ResourceLogs, of[key])
		}
		scope := &of[key].ScopeLogs[0]
		scope.LogRecords = append(scope.LogRecords, e.otlp())
	}
	b, err := json.Marshal(logs)
	if err != nil {
		return nil, fmt.Errorf("encode %d events as OTLP: %w", len(es), err)
	}
	return b, nil
}

func (e Entry) otlpResource() *otlpResourceLogs {
	return &otlpResourceLogs{
		Resource: otlpResource{[]otlpAttribute{stringAttribute("service.name", app),
			stringAttribute("service.version", clean(e.Agent)), stringAttribute("host.name", e.node())}},
		ScopeLogs: []otlpScopeLogs{{Scope: otlpScope{"stepaway/audit", strconv.Itoa(e.V)}}},
	}
}

func (e Entry) otlp() otlpRecord {
	n, text := OTLPSeverity(e.Severity)
	sentence := e.sentence()
	at := "0"
	if nanos := e.Wall.UnixNano(); nanos > 0 {
		at = strconv.FormatInt(nanos, 10)
	}
	r := otlpRecord{Time: at, Observed: at, SeverityNumber: n, SeverityText: text, EventName: app + "." + clean(string(e.Type)),
		Body:       otlpValue{String: &sentence},
		Attributes: []otlpAttribute{stringAttribute("log.record.uid", e.ID())}}
	for _, f := range e.fields()[1:] { // the first is the id
		r.Attributes = append(r.Attributes, f.otlp())
	}
	return r
}

func (f field) otlp() otlpAttribute {
	key := app + "." + f.name
	switch f.kind {
	case number:
		return otlpAttribute{key, otlpValue{Int: f.text}}
	case yesNo:
		yes := f.text == "true"
		return otlpAttribute{key, otlpValue{Bool: &yes}}
	}
	return stringAttribute(key, f.text)
}

func stringAttribute(key, s string) otlpAttribute { return otlpAttribute{key, otlpValue{String: &s}} }
