package link

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	hostileConnections = 200
	hostileFrames      = 10000
)

// attack opens 200 connections and writes so many hostile frames, again on a new connection when one is closed.
func attack(path string, most int64) error {
	var frames, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range hostileConnections {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 3))
			for frames.Load() < most {
				assault(path, r, &frames, &refused)
			}
		})
	}
	fmt.Println("begun")
	wg.Wait()
	fmt.Printf("%d frames, refused %d\n", frames.Load(), refused.Load())
	return nil
}

func assault(path string, r *rand.Rand, frames, refused *atomic.Int64) {
	c, err := dial(path)
	if err != nil {
		time.Sleep(time.Millisecond)
		return
	}
	defer c.Close()
	if r.IntN(3) == 0 { // turned away, or let in and silent for a while
		c.SetReadDeadline(time.Now().Add(time.Duration(r.IntN(50)) * time.Millisecond))
		if m, err := Read(c); err == nil && m.Refused != nil {
			refused.Add(1)
		}
	}
	c.SetWriteDeadline(time.Now().Add(time.Second))
	for range r.IntN(50) {
		if _, err := c.Write(hostile(r)); err != nil {
			return
		}
		frames.Add(1)
	}
}

// hostile makes one frame; some are right by themselves.
func hostile(r *rand.Rand) []byte {
	m := everyMessage[r.IntN(len(everyMessage))]
	if r.IntN(3) == 0 {
		m = helloTray
	}
	body, _ := json.Marshal(m)
	switch r.IntN(9) {
	case 0:
		return []byte{0, 0, 0, 0}
	case 1:
		return []byte{0xff, 0xff, 0xff, 0xff, 1}
	case 2:
		return append([]byte{0, 1, 0, 0}, bytes.Repeat([]byte("["), MaxFrame)...)
	case 3:
		return frameOf(string(body))[:4+len(body)/2]
	case 4:
		return frameOf(string(body) + "{}")
	case 5:
		body[r.IntN(len(body))] ^= 1 << r.IntN(8)
	case 6:
		return frameOf(`{"beat":{"idle_ms":0}}`)
	case 7:
		return frameOf(`{"hello":{"role":"tray","session":"` + strings.Repeat("c2", 30000) + `"}}`)
	}
	return frameOf(string(body))
}
