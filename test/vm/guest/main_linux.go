// Command guest runs in the test machine, as root, and does what the test asks over a port of virtio: ssh would take more
// than a second for every call.
//
// `guest uinput` makes an input device that is no hardware and types on it. `guest slept` waits until the machine has slept
// and prints when. `guest cost NAME...` prints what the processes of these names have taken so far.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"stepaway/clock"
	"stepaway/test/vm/wire"
)

func main() {
	if err := do(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

func do(args []string) error {
	if len(args) == 0 {
		go watchDevices()
		return serve("/dev/virtio-ports/" + wire.Port)
	}
	switch args[0] {
	case "uinput":
		return typeVirtually()
	case "slept":
		return json.NewEncoder(os.Stdout).Encode(slept())
	case "cost":
		return json.NewEncoder(os.Stdout).Encode(costs(args[1:]))
	}
	return fmt.Errorf("no verb %q", args[0])
}

// serve answers until the port is gone.
func serve(path string) error {
	port, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open the port: %w", err)
	}
	defer port.Close()
	var mu sync.Mutex
	say := func(a wire.Answer) {
		line, _ := json.Marshal(a)
		mu.Lock()
		defer mu.Unlock()
		_, _ = port.Write(append(line, '\n'))
	}
	say(wire.Answer{}) // up
	for in := bufio.NewReader(port); ; {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // nobody at the other end
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if err != nil {
			return fmt.Errorf("read from the port: %w", err)
		}
		var r wire.Request
		if json.Unmarshal(line, &r) == nil {
			go func() { say(answer(r)) }()
		}
	}
}

func answer(r wire.Request) wire.Answer {
	from := clock.Now().Milliseconds()
	a := wire.Answer{ID: r.ID}
	if r.Typing {
		a.Last, a.Out = typed()
	} else {
		a.Out, a.Err, a.Code = run(r)
	}
	a.From, a.To = from, clock.Now().Milliseconds()
	return a
}

func run(r wire.Request) (out []byte, said string, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.Limit)*time.Millisecond)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.Args[0], r.Args[1:]...)
	cmd.Dir, cmd.WaitDelay = "/", time.Second
	cmd.Env = []string{"LANG=C.UTF-8", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdin = bytes.NewReader(r.Input)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		return nil, err.Error(), -1
	}
	return o.Bytes(), e.String(), cmd.ProcessState.ExitCode()
}
