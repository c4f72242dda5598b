package demo

import (
	"container/heap"
	"time"
)

// run is the one goroutine that owns the signalling state.
func (p *Platform) run() {
	defer p.closeAll()
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	for {
		clock.Reset(p.fireDue())
		select {
		case f := <-p.inbox:
			f()
		case <-clock.C:
		case <-p.ctx.Done():
			return
		}
	}
}

// post hands f to run. It waits while run is behind (the sockets' buffers then fill, and the kernel drops) and gives up
// when the platform stops.
func (p *Platform) post(f func()) {
	select {
	case p.inbox <- f:
	case <-p.ctx.Done():
	}
}

func (p *Platform) closeAll() {
	p.stop()
	p.udp.Close()
	p.tcp.Close()
	for _, c := range p.conns {
		c.close()
	}
	for _, c := range p.calls {
		c.media.close()
	}
}

// A timer calls f once in run. The zero index of a fired or stopped timer is -1.
type timer struct {
	at    time.Time
	f     func()
	index int
}

// after arranges that f is called in run after d.
func (p *Platform) after(d time.Duration, f func()) *timer {
	t := &timer{at: time.Now().Add(d), f: f}
	heap.Push(&p.timers, t)
	return t
}

// cancel stops t, which may be nil, fired or stopped already.
func (p *Platform) cancel(t *timer) {
	if t != nil && t.index >= 0 {
		heap.Remove(&p.timers, t.index)
	}
}

// fireDue calls what is due and returns how long nothing will be.
func (p *Platform) fireDue() time.Duration {
	for len(p.timers) > 0 {
		if d := time.Until(p.timers[0].at); d > 0 {
			return d
		}
		heap.Pop(&p.timers).(*timer).f()
	}
	return time.Hour
}

// timerHeap implements heap.Interface, the next timer first.
type timerHeap []*timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is for package heap.
func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop is for package heap.
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}
