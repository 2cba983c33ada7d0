package faulty_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
	"github.com/proget-go/ha/storage/faulty"
)

// The first upload finds the disk full, the second does not.
func Example() {
	faults := faulty.New(memblob.OpenBucket(nil))
	store := storage.New(blob.NewBucket(faults), nil)
	defer store.Close()
	faults.Inject(faulty.Fault{Op: faulty.Write, Err: faulty.ErrNoSpace})
	for range 2 {
		_, err := store.Put(context.Background(), strings.NewReader("content"), nil)
		fmt.Println(errors.Is(err, proget.ErrNoSpace), proget.Message(err))
	}
	// Output:
	// true Storage is full.
	// false
}
