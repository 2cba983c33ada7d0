package storage_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/storage"
)

func Example() {
	ctx := context.Background()
	store, err := storage.Open(ctx, "mem:", nil) // or file:///srv/packages
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	blob, err := store.Put(ctx, strings.NewReader("hello"), &storage.PutOptions{
		Algorithms: []proget.Algorithm{proget.SHA1},
		MaxSize:    1 << 30,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(blob.Size, blob.Digests[proget.SHA1])

	r, err := store.Open(ctx, blob.Key)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	_, _ = io.Copy(os.Stdout, r)
	// Output:
	// 5 aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d
	// hello
}

func ExampleStore_CheckProbe() {
	ctx := context.Background()
	mine, _ := storage.Open(ctx, "mem:", nil)
	theirs, _ := storage.Open(ctx, "mem:", nil) // memory is never shared

	probe, _ := mine.NewProbe(ctx, "web-1")
	fmt.Println(mine.CheckProbe(ctx, probe))
	err := theirs.CheckProbe(ctx, probe)
	fmt.Println(strings.HasPrefix(err.Error(), storage.ErrNotShared.Error()))
	// Output:
	// <nil>
	// true
}
