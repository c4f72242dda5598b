package transaction

import "math/bits"

// buffers keeps byte slices of a few sizes for use again, so that steady work allocates nothing.
type buffers struct{ classes [8][][]byte }

const (
	smallest  = 256       // bytes of class 0
	keep      = 128 << 10 // bytes kept per class, or keepLeast slices
	keepLeast = 4
)

// class is the smallest whose slices have room for n bytes.
func class(n int) int { return bits.Len(uint(max(n, 1)-1) / smallest) }

// room returns an empty slice with room for n bytes, out of the free lists if it can.
func (p *buffers) room(n int) []byte {
	c := class(n)
	if c >= len(p.classes) {
		return make([]byte, 0, n)
	}
	if list := p.classes[c]; len(list) > 0 {
		p.classes[c] = list[:len(list)-1]
		return list[len(list)-1]
	}
	return make([]byte, 0, smallest<<c)
}

func (p *buffers) copy(b []byte) []byte { return append(p.room(len(b)), b...) }

func (p *buffers) put(b []byte) {
	c := class(cap(b))
	if c >= len(p.classes) || cap(b) != smallest<<c || len(p.classes[c]) >= max(keep/smallest>>c, keepLeast) {
		return
	}
	p.classes[c] = append(p.classes[c], b[:0])
}
