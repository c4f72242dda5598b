package meter

import (
	"math"
	"math/bits"
)

// exact is how many different things a Distinct counts without an error; after that it estimates.
const exact = 32

// A Distinct counts different things by their keyed hashes: exactly up to 32, then by HyperLogLog with 64 registers (Flajolet et al.,
// 2007), which is right to about 13 %. The zero Distinct is empty. It belongs to whoever holds its entry locked. 132 bytes.
type Distinct struct {
	cells [exact]uint32 // the hashes; of an estimate, 64 registers of 16 bits with room for 6
	n     uint16        // how many of them; more than exact: it is an estimate
}

const registers = 2 * exact

// Add takes note of the thing with this hash, and reports whether it is certainly new.
func (d *Distinct) Add(h uint64) bool {
	if d.n > exact {
		d.register(h)
		return false
	}
	short := uint32(h >> 32)
	for _, c := range d.cells[:d.n] {
		if c == short {
			return false
		}
	}
	if d.n < exact {
		d.cells[d.n] = short
		d.n++
		return true
	}
	have := d.cells
	*d = Distinct{n: exact + 1}
	for _, c := range have {
		d.register(uint64(c) << 32)
	}
	d.register(h)
	return true
}

// Has reports whether the thing with this hash is certainly among those counted.
func (d *Distinct) Has(h uint64) bool {
	if d.n > exact {
		return false
	}
	for _, c := range d.cells[:d.n] {
		if c == uint32(h>>32) {
			return true
		}
	}
	return false
}

// register notes h in its register: 6 bits choose it, the others tell how rare h is.
func (d *Distinct) register(h uint64) {
	short := uint32(h >> 32)
	i, rank := short>>26, uint32(bits.LeadingZeros32(short<<6|1<<5)+1)
	c := &d.cells[i/2]
	shift := i % 2 * 16
	if *c>>shift&0xffff < rank {
		*c = *c&^(0xffff<<shift) | rank<<shift
	}
}

// Count is how many different things were added.
func (d *Distinct) Count() int {
	if d.n <= exact {
		return int(d.n)
	}
	sum, empty := 0.0, 0
	for i := range registers {
		rank := d.cells[i/2] >> (i % 2 * 16) & 0xffff
		sum += math.Ldexp(1, -int(rank))
		if rank == 0 {
			empty++
		}
	}
	n := 0.709 * registers * registers / sum
	if empty > 0 && n < 2.5*registers {
		n = registers * math.Log(float64(registers)/float64(empty))
	}
	return max(exact+1, int(n+0.5))
}
