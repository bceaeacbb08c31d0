package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"stepaway/sink/encode"
)

func newOTLP(s Spec) (Sink, error) {
	path := ""
	if strings.Trim(s.URL.Path, "/") == "" {
		path = "/v1/logs"
	}
	w, err := newWeb(s, path)
	if err != nil {
		return nil, err
	}
	w.send = w.otlpBatch
	return w, nil
}

// otlpBatch sends one request. 200 without a partial success is the acknowledgement.
func (w *web) otlpBatch(ctx context.Context, es []encode.Entry) error {
	body, err := encode.OTLP(es)
	if err != nil {
		return &Error{Code: "config", Err: err}
	}
	a, err := w.post(ctx, body, http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}, maxAnswer)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return &Error{Code: "answer", Err: fmt.Errorf("the receiver answers %d, not 200", a.status)}
	}
	rejected, err := a.rejected()
	switch {
	case err != nil:
		return &Error{Code: "answer", Err: err}
	case rejected == 0:
		return nil
	case rejected >= int64(len(es)):
		return &Error{Code: "refused", Err: fmt.Errorf("the receiver rejects all of %d events", len(es))}
	}
	// Which ones it does not say, and the protocol forbids to send them again.
	return &Partial{Lost: int(rejected), Err: &Error{Code: "refused", Err: fmt.Errorf("the receiver rejects %d of %d events", rejected, len(es))}}
}

// rejected reads ExportLogsServiceResponse. An empty one of a receiver that speaks OTLP is a full success.
func (a answer) rejected() (int64, error) {
	body := bytes.TrimSpace(a.body)
	if len(body) == 0 {
		kind, _, _ := strings.Cut(a.kind, ";")
		if kind == "application/json" || kind == "application/x-protobuf" {
			return 0, nil
		}
		return 0, errors.New("the answer is empty and of no kind that OTLP has")
	}
	if body[0] != '{' {
		return 0, errors.New("the answer is no JSON object")
	}
	var r struct {
		PartialSuccess struct{ RejectedLogRecords json.RawMessage }
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return 0, fmt.Errorf("the answer is not JSON: %w", err)
	}
	n := strings.Trim(string(r.PartialSuccess.RejectedLogRecords), `"`)
	if n == "" || n == "null" {
		return 0, nil
	}
	rejected, err := strconv.ParseInt(n, 10, 64)
	if err != nil || rejected < 0 {
		return 0, errors.New("the answer's count of rejected records is not a number")
	}
	return rejected, nil
}
