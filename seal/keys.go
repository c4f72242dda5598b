// Package seal keeps ringwall's keys and makes what they make: sealed tokens, which ringwall gives to the world and
// gets back (RFC 5297 AES-SIV, so that equal input gives an equal token and no nonce can be misused), and keyed hashes
// (ids that stay equal for years). It knows nothing of SIP.
package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// MaxKeys is how many token keys the key file holds: the active one and older ones that still open tokens. Rotate
// drops the oldest beyond it.
const MaxKeys = 8

// secretLen is the length of each secret in the key file, in bytes.
const secretLen = 32

// keyIDs are the one-character key ids, in the order in which Rotate gives them out. All are safe as the first
// character of a SIP user part, a Call-ID and a tag.
const keyIDs = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// Keys is an open key file. All methods may be used by any number of goroutines at once; Seal and Open never wait for
// Rotate.
type Keys struct {
	path     string
	rotating sync.Mutex // one Rotate at a time
	set      atomic.Pointer[keySet]
}

// keySet is one immutable state of the keys.
type keySet struct {
	stored   []storedKey // as in the file: the active one first
	tokens   []*siv      // by the index of stored
	identity storedKey
	id       *siv
	derive   []byte // key of Derive
}

// storedKey is one line of the key file.
type storedKey struct {
	id      byte // 0 for the identity key
	created time.Time
	secret  [secretLen]byte
}

// Active returns the id of the key that seals now, and when it was made.
func (k *Keys) Active() (id byte, created time.Time) {
	active := k.set.Load().stored[0]
	return active.id, active.created
}

// Derive returns a key for another room, made from the active key: equal for equal purposes until the next Rotate.
// The purpose is any text that no other caller uses.
func (k *Keys) Derive(purpose string) [32]byte {
	h := hmac.New(sha256.New, k.set.Load().derive)
	h.Write([]byte(purpose))
	return [32]byte(h.Sum(nil))
}

// Rotate makes a new active key, dated now, and keeps the older ones for opening, up to MaxKeys in all. The file is
// replaced first; on an error nothing has changed. It refuses when the file is no longer what Open read: somebody else
// wrote it, and overwriting would lose keys.
func (k *Keys) Rotate(now time.Time) error {
	k.rotating.Lock()
	defer k.rotating.Unlock()
	old := k.set.Load()
	onDisk, err := readFile(k.path)
	if err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	if !onDisk.equal(old) {
		return fmt.Errorf("rotate keys: %s was changed since it was read: restart to use what it holds now", k.path)
	}
	fresh, err := newStoredKey(old.nextID(), now)
	if err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	stored := append([]storedKey{fresh}, old.stored...)
	set, err := newKeySet(old.identity, stored[:min(len(stored), MaxKeys)])
	if err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	if err := replaceFile(k.path, set.marshal()); err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	k.set.Store(set)
	return nil
}

// Free returns from when on a Rotate drops no key that sealed anything within the time keep before it; the zero time if there is room for
// a further key.
func (k *Keys) Free(keep time.Duration) time.Time {
	stored := k.set.Load().stored
	if len(stored) < MaxKeys {
		return time.Time{}
	}
	return stored[MaxKeys-2].created.Add(keep) // its making ended the use of the oldest
}

// Reload reads the key file again, which another node has rotated, and reports whether it holds other keys now. A file of another
// identity key is refused: the ids made with it would no longer be equal.
func (k *Keys) Reload() (changed bool, err error) {
	k.rotating.Lock()
	defer k.rotating.Unlock()
	old := k.set.Load()
	set, err := readFile(k.path)
	switch {
	case err != nil:
		return false, err
	case !set.identity.equal(old.identity):
		return false, fmt.Errorf("read keys again: %s holds another identity key; restart to use it, which every phone notices", k.path)
	case set.equal(old):
		return false, nil
	}
	k.set.Store(set)
	return true, nil
}

// nextID returns the id that follows the active one in keyIDs and is not in use. There are far more ids than MaxKeys,
// so an id comes back only long after its key is gone.
func (s *keySet) nextID() byte {
	at := strings.IndexByte(keyIDs, s.stored[0].id)
	for {
		at = (at + 1) % len(keyIDs)
		if s.find(keyIDs[at]) < 0 {
			return keyIDs[at]
		}
	}
}

// find returns the index of the key with this id, or -1.
func (s *keySet) find(id byte) int {
	for i := range s.stored {
		if s.stored[i].id == id {
			return i
		}
	}
	return -1
}

func (s *keySet) equal(o *keySet) bool {
	return s.identity.equal(o.identity) && slices.EqualFunc(s.stored, o.stored, storedKey.equal)
}

func (k storedKey) equal(o storedKey) bool {
	return k.id == o.id && k.created.Equal(o.created) && k.secret == o.secret
}

// newStoredKey makes a key from the system's random source. Times are kept to the second, as the file shows them.
func newStoredKey(id byte, now time.Time) (storedKey, error) {
	k := storedKey{id: id, created: now.UTC().Truncate(time.Second)}
	if _, err := rand.Read(k.secret[:]); err != nil {
		return storedKey{}, fmt.Errorf("make a key: %w", err)
	}
	return k, nil
}

// newKeySet prepares the ciphers of a set.
func newKeySet(identity storedKey, stored []storedKey) (*keySet, error) {
	if len(stored) == 0 {
		return nil, errors.New("no key")
	}
	s := &keySet{stored: slices.Clone(stored), identity: identity}
	for _, k := range stored {
		c, err := k.cipher("token")
		if err != nil {
			return nil, err
		}
		s.tokens = append(s.tokens, c)
	}
	var err error
	if s.id, err = identity.cipher("id"); err != nil {
		return nil, err
	}
	s.derive, err = stored[0].expand("derive", 32)
	return s, err
}

// cipher makes AES-SIV for one use of a key.
func (k storedKey) cipher(use string) (*siv, error) {
	key, err := k.expand(use, sivKeyLen)
	if err != nil {
		return nil, err
	}
	return newSIV(key)
}

// expand makes an independent key of n bytes for one use of a key (RFC 5869 HKDF-Expand with SHA-256; secrets are
// uniformly random, so no extract step). It fails only for n above 255*32.
func (k storedKey) expand(use string, n int) ([]byte, error) {
	return hkdf.Expand(sha256.New, k.secret[:], "ringwall 1 "+use, n)
}
