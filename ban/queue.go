package ban

import "container/heap"

// A class is what an entry is worth when room is needed, and which queue it waits in for its time.
type class uint8

// Classes, rising. What is unproven is evicted first: forged entries never push out what is known of a real attacker.
const (
	pastSoft class = iota // remembered, of soft bans
	pastHard              // remembered, of proven offenders
	soft                  // banned
	hard
	byHand // by an operator: never evicted
	classes
)

// past is the class of an entry of class c once it is free.
func (c class) past() class {
	if c == soft || c == pastSoft {
		return pastSoft
	}
	return pastHard
}

// A queue holds the entries of one class; the one that is due first stands in front.
type queue []*entry

// Len is of heap.Interface, as are the next four.
func (q queue) Len() int { return len(q) }

// Less orders by time.
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }

// Swap keeps places.
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push appends.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.place = len(*q)
	*q = append(*q, e)
}

// Pop takes the last.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}

// enqueue puts e into the queue of class c, due then.
func (b *Book) enqueue(e *entry, c class, due int64) {
	e.class, e.due = c, due
	heap.Push(&b.queues[c], e)
}

// dequeue takes e out of its queue.
func (b *Book) dequeue(e *entry) { heap.Remove(&b.queues[e.class], e.place) }

// victims are the classes that make room for a new entry of a class, in this order.
var victims = [classes][]class{
	soft:   {pastSoft, soft},
	hard:   {pastSoft, soft, pastHard, hard},
	byHand: {pastSoft, soft, pastHard, hard},
}

// room makes room for an entry of class c and returns who had to go, nil if nobody had to. False: there is none to be made. Soft bans
// and the memory of them take at most half of the book.
func (b *Book) room(c class) (victim *entry, ok bool) {
	unproven := len(b.queues[soft]) + len(b.queues[pastSoft])
	if len(b.entries) < b.cfg.Max && !(c == soft && unproven >= b.cfg.Max/2) {
		return nil, true
	}
	for _, v := range victims[c] {
		if len(b.queues[v]) > 0 {
			return b.queues[v][0], true
		}
	}
	return nil, false
}
