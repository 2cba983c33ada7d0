package indexing

import (
	"fmt"
	"strings"
	"sync"
)

// Bounds of what one attempt of a job says.
const (
	maxLines = 2000    // in its log
	maxLine  = 2 << 10 // bytes of a line, or of a message
)

// kept is a text as every database takes it, and no longer than it is worth. What jobs
// say quotes files and other servers, whose bytes may be anything; refused, it would take
// the heartbeat, the log or the job's end with it.
func kept(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine], "") + " …"
	}
	return text
}

// Progress is how far a job has come, and what it has to say. Its methods may be
// called at any rate; what they say is written with the next heartbeat.
type Progress struct {
	mu          sync.Mutex
	done, total int64
	message     string
	said        int      // lines so far
	lines       []string // yet to be written
	sending     []string // being written, as a part of the log
	part        int64
}

// Set records units done, of total, or of an unknown number if total is 0.
func (p *Progress) Set(done, total int64, message string) {
	message = kept(message)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.total, p.message = done, total, message
}

// Get returns what was set last.
func (p *Progress) Get() (done, total int64, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done, p.total, p.message
}

// Log adds a line to the job's log, which people read. Beyond 2000 lines it says
// that there would be more.
func (p *Progress) Log(format string, args ...any) {
	line := kept(strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.said++; {
	case p.said < maxLines:
		p.lines = append(p.lines, line)
	case p.said == maxLines:
		p.lines = append(p.lines, "There is more, which is not kept.")
	}
}

// unwritten returns the next part of the log, which stays the same until written
// is called: it may have been written although that is not known.
func (p *Progress) unwritten() (part int64, lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sending) == 0 {
		p.sending, p.lines = p.lines, nil
	}
	return p.part, p.sending
}

func (p *Progress) written() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.part++
	p.sending = nil
}
