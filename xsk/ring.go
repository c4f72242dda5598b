package xsk

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A ring is one of the four rings of a socket of AF_XDP, of descriptors of type T: one side writes, the other reads. Its memory is shared with the kernel,
// and its two counters are read and written in the order that the kernel relies on.
type ring[T any] struct {
	producer, consumer *atomic.Uint32
	mem                []T
	mask               uint32
	mapped             []byte
}

// mapRing maps a ring of n places, a power of two, at page offset page of socket fd.
func mapRing[T any](fd int, at unix.XDPRingOffset, n uint32, page int64) (r ring[T], err error) {
	var one T
	r.mapped, err = unix.Mmap(fd, page, int(at.Desc)+int(n)*int(unsafe.Sizeof(one)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return r, fmt.Errorf("map a ring: %w", err)
	}
	r.producer = (*atomic.Uint32)(unsafe.Pointer(&r.mapped[at.Producer]))
	r.consumer = (*atomic.Uint32)(unsafe.Pointer(&r.mapped[at.Consumer]))
	r.mem, r.mask = unsafe.Slice((*T)(unsafe.Pointer(&r.mapped[at.Desc])), n), n-1
	return r, nil
}

func (r *ring[T]) unmap() {
	if r.mapped != nil {
		_ = unix.Munmap(r.mapped)
		*r = ring[T]{}
	}
}

// A writer puts descriptors on a ring; what it stages the kernel sees when it publishes.
type writer[T any] struct {
	ring[T]
	next uint32
}

// stage writes a place and reports whether there was room.
func (w *writer[T]) stage(v T) bool {
	if w.next-w.consumer.Load() > w.mask {
		return false
	}
	w.mem[w.next&w.mask] = v
	w.next++
	return true
}

// publish shows the other side what was staged.
func (w *writer[T]) publish() {
	if w.next != w.producer.Load() {
		w.producer.Store(w.next)
	}
}

// waiting is how many published places the other side has not read.
func (w *writer[T]) waiting() uint32 { return w.producer.Load() - w.consumer.Load() }

// A reader takes descriptors off a ring.
type reader[T any] struct{ ring[T] }

// take appends up to most of what waits to dst.
func (r *reader[T]) take(dst []T, most int) []T {
	at := r.consumer.Load()
	n := min(r.producer.Load()-at, uint32(most))
	if n == 0 {
		return dst
	}
	for i := range n {
		dst = append(dst, r.mem[(at+i)&r.mask])
	}
	r.consumer.Store(at + n)
	return dst
}
