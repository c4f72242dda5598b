package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// TestNoLeak: after calls over both transports and many connections the process has as many goroutines and descriptors
// as before.
func TestNoLeak(t *testing.T) { leak(t, 500, 100) }

// leak makes calls, half of them over UDP from few phones, half of them over TCP, a phone and connection for each share.
func leak(t *testing.T, calls, connections int) {
	r := newRig(t, udp, busy)
	serve(r.platform)
	t.Logf("baseline: %d goroutines, %d descriptors, %d MiB", r.goroutines(), r.edge.Descriptors(), r.edge.Memory()>>20)
	if !complete(r.phone("first")) {
		t.Fatal("the first call failed")
	}
	goroutines, descriptors := r.goroutines(), r.edge.Descriptors()
	const abreast = 10
	var l load
	for i := range abreast {
		l.start(r.phone(fmt.Sprint("udp", i)), calls/2/abreast, 0, nil)
	}
	l.running.Wait()
	for at := 0; at < connections; at += abreast {
		phones := make([]*siptest.UA, abreast)
		for i := range phones {
			phones[i] = siptest.NewPhone(t, fmt.Sprint("tcp", i), "tcp", "", r.edge.Outside)
			l.start(phones[i], calls/2/connections, 0, nil)
		}
		l.running.Wait()
		for _, phone := range phones {
			phone.Close()
		}
	}
	if n := l.complete.Load(); n != int64(calls/2/abreast*abreast+calls/2/connections*connections) {
		t.Errorf("%d calls complete, %d failed", n, l.failed.Load())
	}
	settled := siptest.Eventually(func() bool {
		time.Sleep(50 * time.Millisecond)
		return r.goroutines() <= goroutines && r.edge.Descriptors() <= descriptors
	})
	t.Logf("after %d calls and %d connections: %d goroutines (%d before), %d descriptors (%d before), %d MiB",
		l.complete.Load(), connections, r.goroutines(), goroutines, r.edge.Descriptors(), descriptors, r.edge.Memory()>>20)
	if !settled {
		t.Error("goroutines or descriptors are left over")
	}
}

// goroutines is the number of goroutines of the edge.
func (r *rig) goroutines() int { return int(r.edge.Counter("go_goroutines")) }
