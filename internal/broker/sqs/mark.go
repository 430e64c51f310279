package sqs

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/onebeat/onebeat/internal/celery"
)

// looks is how often a new term looks for marks: SQS keeps messages on several
// servers and may leave one out of an answer.
const looks = 2

// retention is how long SQS keeps a mark, in seconds: the longest that it offers. A
// mark is of use for as long as what it covers is not recorded.
const retention = 14 * 24 * 3600

// markQueue returns the URL of the queue with the mark, which it makes. Marks have to
// stay visible to whoever looks for them.
func (b *Broker) markQueue(ctx context.Context) (string, error) {
	if url, known := b.urls[b.fence]; known && b.fenceOK {
		return url, nil
	}
	url, made, err := b.find(ctx, b.fence, map[string]string{"VisibilityTimeout": "0", "MessageRetentionPeriod": strconv.Itoa(retention)}, true)
	if err != nil {
		return "", fmt.Errorf("find queue %s: %w", b.fence, err)
	}
	if made {
		b.fenceOK, b.fresh = true, true
		return url, nil
	}
	const name = types.QueueAttributeNameVisibilityTimeout
	got, err := b.of(b.fence).GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: aws.String(url), AttributeNames: []types.QueueAttributeName{name}})
	if err != nil {
		b.forget(b.fence, err)
		return "", fmt.Errorf("look at queue %s: %w", b.fence, err)
	}
	if value := got.Attributes[string(name)]; value != "0" {
		return "", fmt.Errorf("queue %s has a VisibilityTimeout of %s: set it to 0", b.fence, value)
	}
	b.fenceOK = true
	return url, nil
}

// look reads the marks, notes the highest, and removes the others.
func (b *Broker) look(ctx context.Context) error {
	if b.fence == "" {
		return nil
	}
	url, err := b.markQueue(ctx)
	if err != nil || b.fresh {
		return err
	}
	for {
		got, err := b.of(b.fence).ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: aws.String(url), MaxNumberOfMessages: batchMost,
			WaitTimeSeconds: 1, // which asks all of SQS's servers
		})
		if err != nil {
			b.forget(b.fence, err)
			return fmt.Errorf("read the mark: %w", err)
		}
		if err := b.sift(ctx, url, got.Messages); err != nil {
			return err
		}
		if len(got.Messages) < batchMost {
			return nil
		}
	}
}

// sift notes the highest mark of messages and removes those that are lower than it.
func (b *Broker) sift(ctx context.Context, url string, messages []types.Message) error {
	marks := make([]celery.Mark, len(messages))
	for i, m := range messages {
		var err error
		var of string
		if marks[i], of, err = decode(aws.ToString(m.Body)); err != nil {
			return fmt.Errorf("queue %s has a message that is no mark of onebeat: %w", b.fence, err)
		}
		if of != "" && of != b.installation {
			return fmt.Errorf("queue %s has the mark of another installation (%s): give each a queue of its own for its mark", b.fence, of)
		}
		if higher(marks[i], b.mark) {
			b.mark = marks[i]
		}
	}
	var old []types.DeleteMessageBatchRequestEntry
	for i, m := range messages {
		if higher(b.mark, marks[i]) {
			old = append(old, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle})
		}
	}
	if len(old) == 0 {
		return nil
	}
	if _, err := b.of(b.fence).DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: aws.String(url), Entries: old}); err != nil {
		return fmt.Errorf("remove old marks: %w", err)
	}
	return nil
}

// keep writes a mark. The one before stays until the next look.
func (b *Broker) keep(ctx context.Context, mark celery.Mark) error {
	if b.fence != "" {
		url, err := b.markQueue(ctx)
		if err != nil {
			return err
		}
		body, err := encode(mark, b.installation)
		if err != nil {
			return err
		}
		if _, err := b.of(b.fence).SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(url), MessageBody: aws.String(body)}); err != nil {
			b.forget(b.fence, err)
			return fmt.Errorf("write the mark: %w", err)
		}
		b.fresh = false
	}
	b.mark = mark
	return nil
}

// forget drops the URL of a queue that is gone.
func (b *Broker) forget(name string, err error) {
	if absent(err) && b.target.predefined == nil {
		delete(b.urls, name)
		b.fenceOK = b.fenceOK && name != b.fence
	}
}

// higher reports whether a says more than b.
func higher(a, b celery.Mark) bool {
	switch {
	case a.Term != b.Term:
		return a.Term > b.Term
	case a.Seq != b.Seq:
		return a.Seq > b.Seq
	}
	return a.Done > b.Done
}

// A kept is a mark as its queue has it. A predefined one may be another installation's.
type kept struct {
	celery.Mark
	Installation string `json:",omitempty"`
}

// encode packs a mark: its note may be longer than a message.
func encode(mark celery.Mark, installation string) (string, error) {
	text, err := json.Marshal(kept{mark, installation})
	if err != nil {
		return "", err
	}
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	if _, err := w.Write(text); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes()), nil
}

// decode reads what encode has written, and whose it is; "" where an older onebeat wrote it.
func decode(body string) (mark celery.Mark, installation string, err error) {
	packed, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		return mark, "", err
	}
	r, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return mark, "", err
	}
	var k kept
	text, err := io.ReadAll(r)
	if err == nil {
		err = json.Unmarshal(text, &k)
	}
	return k.Mark, k.Installation, err
}
