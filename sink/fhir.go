package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"stepaway/sink/encode"
)

const fhirJSON = "application/fhir+json"

func newFHIR(s Spec) (Sink, error) {
	path := ""
	if s.Form == Single {
		path = "/AuditEvent"
	}
	w, err := newWeb(s, path)
	if err != nil {
		return nil, err
	}
	w.send = w.fhirBatch
	if s.Form == Single {
		w.send = w.fhirEach
	}
	return w, nil
}

// fhirHeader asks for answers without the resource: what was created is known.
func fhirHeader() http.Header {
	return http.Header{"Content-Type": {fhirJSON}, "Accept": {fhirJSON}, "Prefer": {"return=minimal"}}
}

// fhirEach sends one request an event. 201 is the acknowledgement.
func (w *web) fhirEach(ctx context.Context, es []encode.Entry) error {
	p := &Partial{}
	for i, e := range es {
		err := w.fhirOne(ctx, e)
		switch {
		case err == nil:
		case codeOf(err) == "refused":
			p.Refused, p.Err = append(p.Refused, e), err
		default:
			p.Again, p.Err = es[i:], err
			return p
		}
	}
	if p.Err != nil {
		return p
	}
	return nil
}

func (w *web) fhirOne(ctx context.Context, e encode.Entry) error {
	body, err := encode.FHIR(e)
	if err != nil {
		return &Error{Code: "config", Err: err}
	}
	a, err := w.post(ctx, body, fhirHeader(), maxAnswer)
	if err == nil && a.status != http.StatusCreated {
		err = &Error{Code: "answer", Err: fmt.Errorf("the receiver answers %d, not 201", a.status)}
	}
	return err
}

// perEntry is how many bytes an answer may have for each entry of a batch, beyond those of any answer.
const perEntry = 2 << 10

// fhirBatch sends a Bundle. The status of every entry is its acknowledgement.
func (w *web) fhirBatch(ctx context.Context, es []encode.Entry) error {
	body, err := encode.FHIRBatch(es)
	if err != nil {
		return &Error{Code: "config", Err: err}
	}
	a, err := w.post(ctx, body, fhirHeader(), maxAnswer+int64(len(es))*perEntry)
	if err != nil {
		return err
	}
	var bundle struct {
		ResourceType, Type string
		Entry              []struct{ Response struct{ Status string } }
	}
	if err := json.Unmarshal(a.body, &bundle); err != nil {
		return &Error{Code: "answer", Err: fmt.Errorf("the answer is not JSON: %w", err)}
	}
	if bundle.ResourceType != "Bundle" || bundle.Type != "batch-response" || len(bundle.Entry) != len(es) {
		return &Error{Code: "answer", Err: errors.New("the answer is not a batch-response with a status for every entry")}
	}
	p := &Partial{}
	for i, entry := range bundle.Entry {
		status, _, _ := strings.Cut(entry.Response.Status, " ")
		p.judge(es[i], status)
	}
	if p.Err != nil {
		return p
	}
	return nil
}

func (p *Partial) judge(e encode.Entry, status string) {
	switch status {
	case "201":
		return
	case "400", "413", "422":
		p.Refused = append(p.Refused, e)
		p.Err = &Error{Code: "refused", Err: fmt.Errorf("the receiver answers %s for an entry", status)}
	default:
		p.Again = append(p.Again, e)
		p.Err = &Error{Code: "answer", Err: fmt.Errorf("the receiver answers %.20q for an entry", status)}
	}
}
