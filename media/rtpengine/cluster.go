// Package rtpengine speaks the NG protocol (bencoded dictionaries over UDP) with a cluster of rtpengine servers: which of them
// are well, which one has which call, and what they are asked. It never blocks who asks: answers come by callback.
package rtpengine

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Why a request came to nothing. A Failure besides is what the server itself says.
var (
	ErrDown    = errors.New("no rtpengine is up")
	ErrTimeout = errors.New("rtpengine does not answer")
	ErrRefused = errors.New("rtpengine is not running")           // the host says that nobody listens
	ErrBusy    = errors.New("too much waits for rtpengine")       // Config.Waiting, or more than maxQueue requests of one call
	ErrLoad    = errors.New("rtpengine takes no more calls")      // its own limit of load
	ErrAnswer  = errors.New("rtpengine's answer can't be read")   //
	ErrEnded   = errors.New("call was deleted or cluster closed") // before the answer came
)

// A Failure is the reason that the server gives for refusing a request.
type Failure struct{ Reason string }

// Error tells the reason.
func (f Failure) Error() string { return "rtpengine refuses: " + f.Reason }

// Config is what a Cluster needs to know. Zero values take the default in brackets.
type Config struct {
	Instances []netip.AddrPort // where they listen for the NG protocol
	Try       time.Duration    // until a request is sent again with the same cookie; doubled each time [250 ms]
	Tries     int              // how often a request is sent to one instance [3]
	Ping      time.Duration    // between questions whether an instance is well [1 s]
	Fall      int              // unanswered pings in a row by which an instance goes down [3]
	Rise      int              // answered ones by which it comes up again [2]
	Waiting   int              // requests that wait for one instance at most [2048]

	Now func() time.Time // the clock [time.Now]

	// Tell is called when an instance goes down or comes up. It must not block. May be nil.
	Tell func(instance netip.AddrPort, up bool)
}

func (c *Config) setDefaults() {
	set(&c.Try, 250*time.Millisecond)
	set(&c.Tries, 3)
	set(&c.Ping, time.Second)
	set(&c.Fall, 3)
	set(&c.Rise, 2)
	set(&c.Waiting, 2048)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Tell == nil {
		c.Tell = func(netip.AddrPort, bool) {}
	}
}

// set gives v a default.
func set[T int | time.Duration](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// Validate returns what makes c unusable.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Instances) == 0 {
		errs = append(errs, errors.New("rtpengine: want at least one instance"))
	}
	for i, a := range c.Instances {
		if !a.IsValid() || a.Port() == 0 || a.Addr().IsUnspecified() || a.Addr().IsMulticast() {
			errs = append(errs, fmt.Errorf("rtpengine instance %v: want the address and port of its NG listener", a))
		}
		if slices.Contains(c.Instances[:i], a) {
			errs = append(errs, fmt.Errorf("rtpengine instance %v: stands there twice", a))
		}
	}
	if c.Try < 0 || c.Tries < 0 || c.Ping < 0 || c.Fall < 0 || c.Rise < 0 || c.Waiting < 0 {
		errs = append(errs, errors.New("rtpengine: times and counts must not be negative"))
	}
	return errors.Join(errs...)
}

// A Cluster is one or more rtpengine servers. Its methods may be called from any goroutine and do not block.
type Cluster struct {
	cfg       Config
	seed      maphash.Seed
	instances []*instance
	stop      chan struct{}
	running   sync.WaitGroup
}

// New opens a socket to each instance and begins to ask them how they are. An instance counts as up until it fails.
func New(cfg Config) (*Cluster, error) {
	c, err := open(cfg)
	if err != nil {
		return nil, err
	}
	c.running.Go(func() {
		tick := time.NewTicker(c.cfg.Try / 4)
		defer tick.Stop()
		for {
			select {
			case <-c.stop:
				return
			case <-tick.C:
				c.turn()
			}
		}
	})
	return c, nil
}

// open makes a Cluster in which nothing is due until turn is called.
func open(cfg Config) (*Cluster, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, seed: maphash.MakeSeed(), stop: make(chan struct{})}
	for _, addr := range cfg.Instances {
		one, err := dial(&c.cfg, addr)
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("open a socket to rtpengine %v: %w", addr, err)
		}
		c.instances = append(c.instances, one)
		c.running.Go(one.read)
	}
	return c, nil
}

// turn does what is due: what was not answered is sent again or given up, and pings go out.
func (c *Cluster) turn() {
	for _, one := range c.instances {
		one.turn()
	}
}

// Close ends all that waits with ErrEnded, and returns when nothing of the cluster runs any more. Calls on the servers stay.
func (c *Cluster) Close() {
	close(c.stop)
	for _, one := range c.instances {
		one.close()
	}
	c.running.Wait()
}

// Status is how one instance is.
type Status struct {
	Instance netip.AddrPort
	Up       bool
	Waiting  int // requests without an answer yet
	Calls    int // that it holds, as far as we know
	Lost     uint64
}

// Status tells of all instances, in the order of the configuration.
func (c *Cluster) Status() []Status {
	all := make([]Status, 0, len(c.instances))
	for _, one := range c.instances {
		all = append(all, one.status())
	}
	return all
}

// Up is how many instances are up.
func (c *Cluster) Up() int {
	n := 0
	for _, one := range c.instances {
		if one.isUp() {
			n++
		}
	}
	return n
}

// pick returns the instance that call id belongs to by rendezvous hashing, so that calls spread evenly and an instance that
// went down changes nothing for the calls of others: of those that are up and not in tried the one of the highest hash.
func (c *Cluster) pick(id string, tried []*instance) *instance {
	var best *instance
	highest := uint64(0)
	for i, one := range c.instances {
		if !one.isUp() || slices.Contains(tried, one) {
			continue
		}
		var h maphash.Hash
		h.SetSeed(c.seed)
		h.WriteString(id)
		h.WriteByte(byte(i))
		if sum := h.Sum64(); best == nil || sum > highest {
			best, highest = one, sum
		}
	}
	return best
}
