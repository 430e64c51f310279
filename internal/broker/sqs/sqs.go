// Package sqs sends Celery's task messages to Amazon SQS, as kombu's SQS transport
// reads them (kombu 5.7, transport/SQS).
//
// SQS has no step that takes messages and a mark together, so that a part can be
// taken while its mark is not:
//
//   - Messages of FIFO queues have the slot's own id for deduplication: SQS takes each
//     once within five minutes, whoever sends it. Beyond that, as with standard queues:
//   - Messages of standard queues may come twice, with the same task ids: those of
//     requests that had no answer, and after a crash those of the part under way.
//
// The mark is a message in a queue of onebeat's own,
// <queue_name_prefix>onebeat-<installation>-<shard>, which nobody takes away: it is
// read so that it stays visible, and replaced by a newer one. Each part begins by
// reading it: a node whose term is over finds a higher one and sends nothing. Only
// requests that were on their way when a node froze can still arrive after it. Where
// queues are predefined, that queue is the one named "onebeat" among them; without
// it nothing is fenced, and what a crash left unrecorded is sent again.
//
// Which messages of a part were taken is also remembered until its mark is written, so
// that trying again after a throttled request repeats nothing. Events are not sent:
// kombu has no such exchange here.
package sqs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/onebeat/onebeat/internal/broker/address"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/failpoint"
)

// dialWait bounds a connection attempt (broker_connection_timeout of Celery).
const dialWait = 4 * time.Second

// requestWait bounds a request: one that takes longer may have been done, or not.
const requestWait = 10 * time.Second

// Options are what Open needs beside the URL.
type Options struct {
	Installation string
	Shard        int
	Transport    map[string]any // broker_transport_options
	Declare      bool           // make queues that do not exist, as Celery would
	Logger       *slog.Logger
}

// A Broker publishes for one shard.
type Broker struct {
	name    string // the URL without its password
	target  target
	declare bool
	config  aws.Config
	log     *slog.Logger

	client  *sqs.Client            // of queues that are looked up
	clients map[string]*sqs.Client // of predefined queues
	urls    map[string]string      // of queues that were found

	installation string
	fence        string      // the canonical name of the queue with the mark; "" for none
	fenceOK      bool        // that queue is as it should be
	fresh        bool        // it was made just now, so that it is empty
	mark         celery.Mark // the highest seen
	batch        progress
	warned       bool
}

// A progress is what has become of a batch beyond its mark.
type progress struct {
	seq    int64
	taken  map[int]bool   // by Message.Index
	failed map[int]string // why SQS never takes them, or why they are not sent again
	unsure map[int]bool   // of failed: SQS may have them
	last   celery.Mark    // the last part that was published whole
}

// Open reads the URL, the options and AWS's own settings. It does not connect.
func Open(rawURL string, options Options) (*Broker, error) {
	target, err := parse(rawURL, options.Transport)
	if err != nil {
		return nil, err
	}
	b := &Broker{
		name:         address.Redact(rawURL),
		target:       target,
		declare:      options.Declare,
		log:          options.Logger,
		installation: options.Installation,
		clients:      map[string]*sqs.Client{},
		urls:         map[string]string{},
	}
	b.fence = target.canonical(fmt.Sprintf("onebeat-%s-%d", options.Installation, options.Shard))
	if target.predefined != nil {
		b.fence = "onebeat"
		if options.Shard > 0 {
			b.fence = fmt.Sprintf("onebeat-%d", options.Shard)
		}
		if _, known := target.predefined[b.fence]; !known {
			b.fence = ""
		}
	}
	web := awshttp.NewBuildableClient().WithTimeout(requestWait).
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialWait }).
		WithTransportOptions(func(tr *http.Transport) { tr.MaxIdleConnsPerHost = together })
	b.config, err = config.LoadDefaultConfig(
		context.Background(), config.WithHTTPClient(web),
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }), // it cannot know what may be sent twice
	)
	if err != nil {
		return nil, fmt.Errorf("read AWS's own settings: %w", err)
	}
	if web, ok := b.config.HTTPClient.(*awshttp.BuildableClient); ok { // with AWS_CA_BUNDLE
		b.config.HTTPClient = web.Freeze() // one pool of connections, which Close ends
	}
	b.client = b.connect(target.region, target.access, target.secret)
	for name, p := range target.predefined {
		b.clients[name] = b.client
		if p.region != "" || p.access != "" || target.role != "" {
			b.clients[name] = b.connect(cmp.Or(p.region, target.region), cmp.Or(p.access, target.access), cmp.Or(p.secret, target.secret))
		}
		b.urls[name] = p.url
	}
	return b, nil
}

// connect makes a client; it connects with its first request.
func (b *Broker) connect(region, access, secret string) *sqs.Client {
	c := b.config.Copy()
	if region != "" {
		c.Region = region
	}
	if c.Region == "" {
		c.Region = "us-east-1" // kombu's default
	}
	if access != "" {
		c.Credentials = credentials.NewStaticCredentialsProvider(access, secret, "")
	}
	if b.target.role != "" && b.target.predefined != nil {
		role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(b.config, func(o *sts.Options) { o.Region = c.Region }), b.target.role,
			func(o *stscreds.AssumeRoleOptions) {
				o.RoleSessionName, o.Duration = "Celery", time.Duration(b.target.roleFor)*time.Second
			})
		c.Credentials = aws.NewCredentialsCache(role)
	}
	return sqs.NewFromConfig(c, func(o *sqs.Options) {
		if b.target.endpoint != "" {
			o.BaseEndpoint = aws.String(b.target.endpoint)
		}
	})
}

// String is the URL without its password.
func (b *Broker) String() string { return b.name }

// Ping asks SQS for one thing that it knows.
func (b *Broker) Ping(ctx context.Context) error {
	err := b.ping(ctx)
	switch {
	case err == nil:
		return nil
	case loginRefused(err):
		return fmt.Errorf("sqs: %w: %w", celery.ErrLogin, err)
	}
	return fmt.Errorf("sqs: %w", err)
}

// refusals are what AWS says to who has no key that it knows, or another secret for it: Common
// Errors of its API reference, some of which end in Exception as well, by the protocol.
var refusals = []string{
	"InvalidClientTokenId", "UnrecognizedClient", "SignatureDoesNotMatch", "InvalidSignature", "IncompleteSignature", "MissingAuthenticationToken",
}

// loginRefused says whether SQS answered and does not know the key or its secret. Rights that
// are wanting are another thing: they may be given meanwhile.
func loginRefused(err error) bool {
	var refusal smithy.APIError
	return errors.As(err, &refusal) && slices.Contains(refusals, strings.TrimSuffix(refusal.ErrorCode(), "Exception"))
}

func (b *Broker) ping(ctx context.Context) error {
	var err error
	for name, url := range b.target.predefined {
		_, err = b.clients[name].GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
			QueueUrl: aws.String(url.url), AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameVisibilityTimeout},
		})
		if err != nil {
			return fmt.Errorf("queue %s: %w", name, err)
		}
	}
	if b.target.predefined == nil {
		_, err = b.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(b.fence)})
		if absent(err) {
			return nil // it answered
		}
	}
	return err
}

// Release does nothing: the next Take needs nobody's leave.
func (b *Broker) Release() {}

// Close ends the connections.
func (b *Broker) Close() error {
	if web, ok := b.config.HTTPClient.(interface{ CloseIdleConnections() }); ok {
		web.CloseIdleConnections()
	}
	return nil
}

// absent reports whether SQS says that a queue is not there.
func absent(err error) bool {
	var gone *types.QueueDoesNotExist
	return errors.As(err, &gone)
}

// of is the client for a queue.
func (b *Broker) of(name string) *sqs.Client {
	if client, ok := b.clients[name]; ok {
		return client
	}
	return b.client
}

// find returns a queue's URL, empty if it is not there and may not be made, and
// whether it was made just now.
func (b *Broker) find(ctx context.Context, name string, attributes map[string]string, may bool) (url string, made bool, err error) {
	if url, known := b.urls[name]; known || b.target.predefined != nil {
		return url, false, nil
	}
	found, err := b.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(name)})
	switch {
	case err == nil:
		b.urls[name] = aws.ToString(found.QueueUrl)
		return b.urls[name], false, nil
	case !absent(err):
		return "", false, err
	case !may:
		return "", false, nil
	}
	created, err := b.client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes, Tags: b.target.tags})
	if err != nil {
		return "", false, err
	}
	b.urls[name] = aws.ToString(created.QueueUrl)
	return b.urls[name], true, nil
}

// Lacks implements broker.Finder. Predefined queues are not looked up.
func (b *Broker) Lacks(ctx context.Context, route celery.Route) (bool, error) {
	if b.target.predefined != nil || route.Exchange != "" {
		return false, nil
	}
	_, err := b.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(b.target.canonical(route.RoutingKey))})
	switch {
	case absent(err):
		return true, nil
	case err == nil || refusedFor(route.RoutingKey, err) != "":
		return false, nil
	}
	return false, fmt.Errorf("sqs: %w", err)
}

// Take writes a mark with the term, which makes lower ones refuse themselves, and
// returns the mark as it stood.
func (b *Broker) Take(ctx context.Context, term int64) (celery.Mark, error) {
	if err := failpoint.Here("sqs.take.before"); err != nil {
		return celery.Mark{}, err
	}
	mark, err := b.take(ctx, term)
	if err == nil {
		err = failpoint.Here("sqs.take.after")
	}
	if errors.Is(err, celery.ErrFenced) {
		return celery.Mark{}, celery.ErrFenced
	}
	if err != nil {
		return celery.Mark{}, fmt.Errorf("sqs: take term: %w", err)
	}
	mark.Beyond = celery.AllBeyond // a part goes before its mark
	return mark, nil
}

func (b *Broker) take(ctx context.Context, term int64) (celery.Mark, error) {
	if b.fence == "" && !b.warned {
		b.warned = true
		b.log.Warn(`predefined_queues has no queue "onebeat": nothing is fenced, and what a crash left unrecorded is sent again`, "broker", b.name)
	}
	for range looks {
		if err := b.look(ctx); err != nil {
			return celery.Mark{}, err
		}
	}
	before := b.mark
	if before.Term > term {
		return celery.Mark{}, celery.ErrFenced
	}
	after := before
	after.Term = term
	if after != before {
		if err := b.keep(ctx, after); err != nil {
			return celery.Mark{}, err
		}
	}
	return before, nil
}
