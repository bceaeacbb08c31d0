package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestLogDoesNotWaitForItsReader(t *testing.T) {
	r, w := io.Pipe() // takes nothing until it is read
	log := newLog(w)
	for i := range 10 * linesWaiting {
		log.Info(fmt.Sprint("line ", i))
	}
	in := bufio.NewScanner(r)
	for i := range linesWaiting {
		if !in.Scan() || !strings.Contains(in.Text(), fmt.Sprintf("line %d\"", i)) {
			t.Fatalf("line %d: %q", i, in.Text())
		}
	}
}
