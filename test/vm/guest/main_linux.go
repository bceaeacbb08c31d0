// Command guest runs in the test machine, as root, and does what the test asks over a port of virtio: ssh would take more
// than a second for every call.
//
// `guest uinput` makes an input device that is no hardware and types on it. `guest slept PROGRAM...`
// runs a program that puts the machine to sleep, and prints when it slept. `guest cost SPAN NAME...` prints what the processes of these names take in a
// while.
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

	"golang.org/x/sys/unix"

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
		return json.NewEncoder(os.Stdout).Encode(slept(args[1:]))
	case "cost":
		span, err := time.ParseDuration(args[1])
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(costs(span, args[2:]))
	}
	return fmt.Errorf("no verb %q", args[0])
}

// serve answers until the port is gone.
func serve(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0) // without a poller: reading just waits
	if err != nil {
		return fmt.Errorf("open the port: %w", err)
	}
	port := os.NewFile(uintptr(fd), path)
	defer port.Close()
	var mu sync.Mutex
	say := func(a wire.Answer) {
		line, _ := json.Marshal(a)
		mu.Lock()
		defer mu.Unlock()
		_, _ = port.Write(append(line, '\n'))
	}
	var line []byte
	for in := bufio.NewReader(port); ; {
		part, err := in.ReadBytes('\n')
		line = append(line, part...)
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
		line = nil
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
