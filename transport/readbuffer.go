package transport

import (
	"math/bits"
	"sync"
)

// firstBuffer is what a connection reads into until a message turns out to be longer, bytes.
const firstBuffer = 4 << 10

// readBuffers keeps what connections have read into for others, by class: firstBuffer, twice that, and so on. So a flood of long messages
// that never end makes no garbage.
var readBuffers [8]sync.Pool

// bufferClass is the class of buffers of size bytes.
func bufferClass(size int) int { return min(bits.Len(uint(size-1)/firstBuffer), len(readBuffers)-1) }

// takeBuffer returns a buffer of size bytes. What was in it is still there.
func takeBuffer(size int) *[]byte {
	if b, ok := readBuffers[bufferClass(size)].Get().(*[]byte); ok && cap(*b) >= size {
		*b = (*b)[:size]
		return b
	}
	b := make([]byte, size)
	return &b
}

// giveBuffer takes a buffer back.
func giveBuffer(b *[]byte) { readBuffers[bufferClass(cap(*b))].Put(b) }
