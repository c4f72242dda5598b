package transport

import "testing"

func TestReadBuffers(t *testing.T) {
	for size := firstBuffer; size <= 1<<20+firstBuffer; size = min(2*size, size+300_000) {
		b := takeBuffer(size)
		if len(*b) != size {
			t.Fatalf("%d bytes, want %d", len(*b), size)
		}
		giveBuffer(b)
		for _, again := range []int{size, firstBuffer, 1 << 20} { // whatever the pool holds
			if b := takeBuffer(again); len(*b) != again {
				t.Fatalf("%d bytes, want %d", len(*b), again)
			}
		}
	}
	for size, want := range map[int]int{1: 0, firstBuffer: 0, firstBuffer + 1: 1, 2 * firstBuffer: 1, 64 << 10: 4, 64<<10 + firstBuffer: 5, 1 << 30: 7} {
		if got := bufferClass(size); got != want {
			t.Errorf("%d bytes: class %d, want %d", size, got, want)
		}
	}
}
