package seal

import "sync/atomic"

// A Use seals tokens that are bound to nothing but what they are for: the same as Keys.Seal and Keys.Open with that as ad1 and no ad2, and
// cheaper, since what S2V makes of it is kept. Any number of goroutines may use one at once.
type Use struct {
	keys *Keys
	what []byte
	now  atomic.Pointer[bound]
}

// bound is what S2V has taken in of a use, for each key of a set.
type bound struct {
	*keySet
	to []block
}

// Use makes a Use for tokens that are for what, a text that no other use has.
func (k *Keys) Use(what string) *Use {
	return &Use{keys: k, what: []byte(what)}
}

// bound is the state for the keys as they are now.
func (u *Use) bound() *bound {
	set, b := u.keys.set.Load(), u.now.Load()
	if b != nil && b.keySet == set {
		return b
	}
	b = &bound{keySet: set}
	for _, c := range set.tokens {
		b.to = append(b.to, c.bound(u.what, nil))
	}
	u.now.Store(b)
	return b
}

// Seal is Keys.Seal.
func (u *Use) Seal(dst, plain []byte) []byte { return u.bound().seal(0, dst, plain) }

// SealUnder is Seal with the key that has this id, so that a token can be made again after a Rotate; with the active one if that key is gone.
func (u *Use) SealUnder(id byte, dst, plain []byte) []byte {
	b := u.bound()
	return b.seal(max(0, b.find(id)), dst, plain)
}

func (b *bound) seal(key int, dst, plain []byte) []byte {
	return b.keySet.seal(key, b.to[key], dst, plain)
}

// Open is Keys.Open.
func (u *Use) Open(dst, token []byte) ([]byte, error) {
	b := u.bound()
	key := b.named(token)
	if key < 0 {
		return dst, ErrToken
	}
	bin, ok := AppendBytes(dst, token[1:])
	if !ok {
		return bin[:len(dst)], ErrToken
	}
	return b.tokens[key].open(b.to[key], bin, len(dst))
}
