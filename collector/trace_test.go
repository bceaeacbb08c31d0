package collector

import (
	"context"
	"net/http/httptrace"
)

// traced tells whether a request went over a connection that was open.
func traced(reused *bool) context.Context {
	return httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { *reused = i.Reused },
	})
}
