package group

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestEveryPartIsCommittedOnce(t *testing.T) {
	for _, n := range []int{1, 4} {
		var mu sync.Mutex
		seen, commits := map[int]int{}, 0
		w := New(n, 16, func(vs []int) error {
			mu.Lock()
			defer mu.Unlock()
			commits++
			if len(vs) > 16 {
				t.Errorf("%d in one commit", len(vs))
			}
			for _, v := range vs {
				seen[v]++
			}
			return nil
		})
		var all sync.WaitGroup
		for i := range 500 {
			all.Go(func() {
				if err := w.Do(context.Background(), i); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		w.Close()
		for i := range 500 {
			if seen[i] != 1 {
				t.Fatalf("%d was committed %d times", i, seen[i])
			}
		}
		if err := w.Do(context.Background(), 1); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
}

// TestWhatHangsDoesNotPileUp: callers leave when their time is over, and those who wait are taken together afterwards.
func TestWhatHangsDoesNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		hang := make(chan struct{})
		w := New(1, 64, func(vs []int) error {
			sizes = append(sizes, len(vs))
			<-hang
			return errors.New("broken")
		})
		first := make(chan error, 1)
		go func() { first <- w.Do(context.Background(), 0) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		late := make(chan error, 100)
		for i := range 100 {
			go func() { late <- w.Do(ctx, i) }()
		}
		for range 100 {
			if err := <-late; !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		waiting := make(chan error, 10)
		for i := range 10 {
			go func() { waiting <- w.Do(context.Background(), i) }()
		}
		synctest.Wait()
		close(hang)
		for range 10 {
			if err := <-waiting; err == nil || err.Error() != "broken" {
				t.Error(err)
			}
		}
		if err := <-first; err == nil {
			t.Error("no error")
		}
		w.Close()
		if len(sizes) != 2 || sizes[0] != 1 || sizes[1] != 10 {
			t.Errorf("commits of %v, want 1 and 10", sizes)
		}
	})
}
