------------------------------ MODULE dispatch ------------------------------
(* How onebeat sends each slot once: acquire, claim, publish, record, recover,  *)
(* by nodes of which any may die, freeze and wake up, or trust a lease that is  *)
(* gone. model.md says in words what is here, what is left out, and why.        *)
(*                                                                              *)
(* Each action is one step at the database or at the broker, and its name is    *)
(* that of the code: Acquire in internal/lease, Take and Recover in             *)
(* internal/dispatch/recover.go, Claim, Ready, Send and Record in claim.go,     *)
(* publish.go and record.go.                                                    *)
EXTENDS Naturals, Sequences, FiniteSets, TLC

CONSTANTS
  Nodes, Entries,
  Last,     \* slots are 1..Last, for each entry; a slot is also the time it comes
  Terms,    \* so many times the lease is taken at most
  Batch,    \* so many slots are claimed together at most
  Ahead,    \* so many batches a node has in hand at most
  Answers,  \* so many answers of the broker or the database are lost
  Edits,    \* so many claimed slots are withheld: their entry was edited
  Restores, \* so many times the broker comes back with older data
  Marks,    \* 0: messages and mark arrive in one step (Redis); else there is a
            \* mark after so many messages (RabbitMQ)
  Without   \* what is left out, to see that it is needed; "" for nothing

Slots == 1..Last
Dues == Entries \X Slots
SlotOf(d) == d[2]

VARIABLES
  now,    \* true time
  db,     \* term, seq, journal (open batches), ends (the ledger)
  broker, \* term, seq, done, note: the mark; got: messages that arrived, ever;
          \* early: one came before its slot. RabbitMQ: conn, open, unsure
  node,   \* each node's memory
  left,   \* what may still go wrong
  saved   \* what a broker that forgets goes back to; gone: what it then forgot

vars == <<now, db, broker, node, left, saved>>

None == [seq |-> 0, part |-> {}, held |-> {}, note |-> {}]
Idle == [st |-> "idle", term |-> 0, seq |-> 0, next |-> [e \in Entries |-> 0], todo |-> <<>>, try |-> None]
Nobody == "nobody"

Init ==
  /\ now = 0
  /\ db = [term |-> 0, seq |-> 0, journal |-> {}, ends |-> [d \in Dues |-> "none"]]
  /\ broker = [term |-> 0, seq |-> 0, done |-> {}, note |-> {}, got |-> [d \in Dues |-> 0], early |-> FALSE,
               conn |-> Nobody, open |-> {}, unsure |-> {}]
  /\ node = [n \in Nodes |-> Idle]
  /\ left = [answers |-> Answers, edits |-> Edits, restores |-> Restores]
  /\ saved = [term |-> 0, seq |-> 0, done |-> {}, note |-> {}, got |-> [d \in Dues |-> 0], gone |-> {}]

Min(a, b) == IF a < b THEN a ELSE b
Max(a, b) == IF a > b THEN a ELSE b
MaxOf(S) == CHOOSE x \in S \cup {0} : \A y \in S : y <= x
RECURSIVE InOrder(_)
InOrder(batches) == \* a set of batches as a sequence, by seq
  IF batches = {} THEN <<>>
  ELSE LET first == CHOOSE b \in batches : \A c \in batches : b.seq <= c.seq
       IN <<first>> \o InOrder(batches \ {first})

Journaled == UNION {b.dues : b \in db.journal}

------------------------------------------------------------------------------
(* The lease. Whether it has run out is for the database's clock, and what its  *)
(* holder believes is worth nothing here: any node may take it at any time,     *)
(* which covers every lease that ends, early or late by whatever clock, and     *)
(* every holder that was given up for dead and lives.                           *)

Acquire(n) ==
  /\ node[n].st = "idle"
  /\ db.term < Terms
  /\ db' = [db EXCEPT !.term = @ + 1]
  /\ node' = [node EXCEPT ![n] = [
       st |-> "took", term |-> db.term + 1, seq |-> db.seq,
       next |-> [e \in Entries |-> 1 + MaxOf({s \in Slots : db.ends[<<e, s>>] # "none" \/ <<e, s>> \in Journaled})],
       todo |-> InOrder({[seq |-> b.seq, dues |-> b.dues, done |-> {}, held |-> {}] : b \in db.journal}),
       try |-> None]]
  /\ UNCHANGED <<now, broker, left, saved>>

(* What the broker's mark says of a batch. *)
Covered(seq, dues) ==
  IF broker.seq > seq THEN dues ELSE IF broker.seq = seq THEN dues \cap broker.done ELSE {}

Take(n) ==
  /\ node[n].st = "took"
  /\ broker.term <= node[n].term
  /\ Marks = 0 \/ broker.conn = Nobody
  /\ broker' = [broker EXCEPT !.term = node[n].term, !.conn = IF Marks = 0 THEN @ ELSE n]
  /\ LET todo == [i \in DOMAIN node[n].todo |->
           LET b == node[n].todo[i]
               known == IF Without = "mark in recovery" THEN {} ELSE Covered(b.seq, b.dues)
           IN [b EXCEPT !.done = known, !.held = IF Without = "notes" THEN {} ELSE known \cap broker.note]]
     IN node' = [node EXCEPT ![n].todo = todo, ![n].seq = Max(@, broker.seq),
                             ![n].st = IF todo = <<>> THEN "leads" ELSE "recovers"]
  /\ UNCHANGED <<now, db, left, saved>>

(* The batch that is sent from: the first that is not through.                  *)
Sending(n) ==
  LET open == {i \in DOMAIN node[n].todo : node[n].todo[i].done # node[n].todo[i].dues}
  IN IF open = {} THEN 0 ELSE (CHOOSE i \in open : \A j \in open : i <= j)

------------------------------------------------------------------------------
(* Claim: slots that come within the lead, which is 1, in order. Who recovers   *)
(* leads once all that it found is sent: recording it may come later.           *)

Pulled(n) == {d \in Dues : node[n].next[d[1]] <= SlotOf(d) /\ SlotOf(d) <= now + 1}

Claim(n, dues) ==
  /\ node[n].st = "leads" \/ (node[n].st = "recovers" /\ Sending(n) = 0)
  /\ Len(node[n].todo) < Ahead
  /\ db.term = node[n].term \/ Without = "term at claim"
  /\ dues # {} /\ Cardinality(dues) <= Batch
  /\ \A d \in dues, r \in Pulled(n) \ dues : SlotOf(d) <= SlotOf(r)
  /\ LET seq == node[n].seq + 1
     IN /\ db' = [db EXCEPT !.seq = seq, !.journal = IF Without = "journal" THEN @ ELSE @ \cup {[seq |-> seq, dues |-> dues]}]
        /\ node' = [node EXCEPT ![n].st = "leads", ![n].seq = seq,
             ![n].next = [e \in Entries |-> Max(@[e], 1 + MaxOf({SlotOf(d) : d \in {x \in dues : x[1] = e}}))],
             ![n].todo = Append(@, [seq |-> seq, dues |-> dues, done |-> {}, held |-> {}])]
  /\ UNCHANGED <<now, broker, left, saved>>

------------------------------------------------------------------------------
(* Publish. Ready decides, in the node; Send is the step at the broker.         *)

(* The slots that have come by the node's clock, which is never ahead. *)
Come(n, clock) ==
  LET b == node[n].todo[Sending(n)] IN {d \in b.dues \ b.done : SlotOf(d) <= clock}

Clocks == IF Without = "waiting" THEN 1..Last ELSE 1..now

Ready(n, clock, held) ==
  /\ node[n].st \in {"leads", "recovers"}
  /\ node[n].try = None
  /\ Sending(n) # 0
  /\ clock \in {SlotOf(d) : d \in node[n].todo[Sending(n)].dues}
  /\ Come(n, clock) # {}
  /\ held \subseteq Come(n, clock) /\ Cardinality(held) <= left.edits
  /\ Without = "fence, but a look at the lease" => db.term = node[n].term
  /\ node' = [node EXCEPT ![n].try = [
       seq |-> node[n].todo[Sending(n)].seq,
       part |-> Come(n, clock), held |-> held,
       note |-> held \cup UNION {node[n].todo[i].held : i \in
         IF Without = "notes of before" /\ node[n].st = "recovers" THEN {} ELSE DOMAIN node[n].todo}]]
  /\ left' = [left EXCEPT !.edits = @ - Cardinality(held)]
  /\ UNCHANGED <<now, db, broker, saved>>

Add(got, dues) == [d \in Dues |-> IF d \in dues THEN Min(got[d] + 1, 2) ELSE got[d]]

Unfenced == Without \in {"fence", "fence, but a look at the lease"}

(* What an answer tells the node: the part is settled. *)
Settle(n) ==
  LET i == Sending(n) try == node[n].try
  IN [node EXCEPT ![n].todo[i].done = @ \cup try.part, ![n].todo[i].held = @ \cup try.held, ![n].try = None]

Answer(n, answered, state) == \* it arrives, or it is lost and the node asks again
  \/ answered /\ node' = state /\ left' = left
  \/ ~answered /\ left.answers > 0 /\ node' = node /\ left' = [left EXCEPT !.answers = @ - 1]

Send(n, answered) ==
  /\ Marks = 0
  /\ node[n].try # None
  /\ broker.term <= node[n].term \/ Unfenced
  /\ LET try == node[n].try
     IN broker' =
        IF try.part \subseteq Covered(try.seq, try.part) /\ Without # "mark at publish" THEN broker
        ELSE [broker EXCEPT
          !.term = node[n].term, !.seq = try.seq,
          !.done = node[n].todo[Sending(n)].done \cup try.part,
          !.note = try.note,
          !.got = Add(@, try.part \ try.held),
          !.early = @ \/ \E d \in try.part \ try.held : SlotOf(d) > now]
  /\ Answer(n, answered, Settle(n))
  /\ UNCHANGED <<now, db, saved>>

(* RabbitMQ: one message after another, on the connection that holds the queue; *)
(* a mark after so many, and one at the part's end.                             *)
Owed(n) == LET try == node[n].try
           IN (try.part \ try.held) \ (broker.open \cup Covered(try.seq, try.part))

SendOne(n, d) ==
  /\ Marks # 0
  /\ node[n].try # None
  /\ broker.conn = n \/ Without = "exclusive queue"
  /\ Cardinality(broker.open) < Marks
  /\ d \in Owed(n) /\ \A r \in Owed(n) : SlotOf(d) <= SlotOf(r)
  /\ broker' = [broker EXCEPT !.open = @ \cup {d}, !.got = Add(@, {d}), !.early = @ \/ SlotOf(d) > now]
  /\ UNCHANGED <<now, db, node, left, saved>>

SendMark(n) ==
  /\ Marks # 0
  /\ node[n].try # None
  /\ broker.conn = n \/ Without = "exclusive queue"
  /\ Cardinality(broker.open) = Marks \/ Owed(n) = {}
  /\ LET try == node[n].try
         whole == Owed(n) = {}
         done == node[n].todo[Sending(n)].done \cup Covered(try.seq, try.part) \cup broker.open
     IN /\ broker' = [broker EXCEPT !.term = node[n].term, !.seq = try.seq, !.note = try.note, !.open = {},
                        !.done = IF whole THEN done \cup try.part ELSE done]
        /\ node' = IF whole THEN Settle(n) ELSE node
  /\ UNCHANGED <<now, db, left, saved>>

(* A connection ends: what came after the last mark is unsure. *)
Cut ==
  /\ Marks # 0
  /\ broker.conn # Nobody
  /\ broker' = [broker EXCEPT !.conn = Nobody, !.open = {}, !.unsure = @ \cup broker.open]
  /\ UNCHANGED <<now, db, node, left, saved>>

Reconnect(n) ==
  /\ Marks # 0
  /\ node[n].st \in {"leads", "recovers"}
  /\ broker.conn = Nobody
  /\ broker.term <= node[n].term
  /\ broker' = [broker EXCEPT !.conn = n]
  /\ UNCHANGED <<now, db, node, left, saved>>

------------------------------------------------------------------------------
(* Record: the first k batches, which are through.                              *)

Through(n) == {k \in DOMAIN node[n].todo : \A i \in 1..k : node[n].todo[i].done = node[n].todo[i].dues}

Record(n, k, answered) ==
  /\ node[n].st \in {"leads", "recovers"}
  /\ k \in Through(n)
  /\ db.term = node[n].term \/ Without \in {"term at record", "term and journal at record"}
  /\ LET batches == {node[n].todo[i] : i \in 1..k}
         open == {b \in batches : Without \in {"journal", "journal at record", "term and journal at record"} \/ \E j \in db.journal : j.seq = b.seq}
         held == UNION {b.held : b \in open}
         dues == UNION {b.dues : b \in open}
         state == [node EXCEPT ![n].todo = SubSeq(@, k + 1, Len(@)),
                               ![n].st = IF k = Len(node[n].todo) THEN "leads" ELSE @]
     IN /\ db' = [db EXCEPT
             !.journal = {j \in @ : \A b \in batches : b.seq # j.seq},
             !.ends = [d \in Dues |-> CASE d \notin dues -> @[d]
                                        [] @[d] # "none" -> "twice"
                                        [] d \in held -> "skipped"
                                        [] OTHER -> "sent"]]
        /\ Answer(n, answered, state)
  /\ UNCHANGED <<now, broker, saved>>

(* The journal's row gone in a step of its own, before the record: a mistake. *)
Forget(n) ==
  /\ Without = "one transaction"
  /\ node[n].st = "leads"
  /\ 1 \in Through(n)
  /\ db.term = node[n].term
  /\ db' = [db EXCEPT !.journal = {j \in @ : j.seq # node[n].todo[1].seq}]
  /\ UNCHANGED <<now, broker, node, left, saved>>

------------------------------------------------------------------------------
(* What goes wrong by itself.                                                   *)

(* A node dies, or stops, or notices that its term is over. One that is frozen  *)
(* or cut off takes no step for a while, which needs no action.                 *)
Crash(n) ==
  /\ node[n].st # "idle"
  /\ node' = [node EXCEPT ![n] = Idle]
  /\ broker' = IF Marks # 0 /\ broker.conn = n
               THEN [broker EXCEPT !.conn = Nobody, !.open = {}, !.unsure = @ \cup broker.open] ELSE broker
  /\ UNCHANGED <<now, db, left, saved>>

(* The broker is saved at some moment, and comes back as it was then. What was  *)
(* claimed by now and had not arrived by then is gone: the broker forgot it, or *)
(* the term that kept an old node from sending it.                              *)
Save ==
  /\ left.restores > 0
  /\ saved' = [term |-> broker.term, seq |-> broker.seq, done |-> broker.done, note |-> broker.note, got |-> broker.got, gone |-> {}]
  /\ saved' # saved
  /\ UNCHANGED <<now, db, broker, node, left>>

Claimed == {d \in Dues : db.ends[d] # "none"} \cup Journaled

Restore ==
  /\ left.restores > 0
  /\ left' = [left EXCEPT !.restores = @ - 1]
  /\ broker' = [broker EXCEPT !.term = saved.term, !.seq = saved.seq, !.done = saved.done, !.note = saved.note]
  /\ saved' = [saved EXCEPT !.gone = {d \in Claimed : saved.got[d] = 0}]
  /\ UNCHANGED <<now, db, node>>

Tick == now < Last /\ now' = now + 1 /\ UNCHANGED <<db, broker, node, left, saved>>

Next ==
  \/ Tick \/ Cut \/ Save \/ Restore
  \/ \E n \in Nodes :
       \/ Acquire(n) \/ Take(n) \/ Crash(n) \/ Reconnect(n) \/ SendMark(n) \/ Forget(n)
       \/ \E dues \in SUBSET Pulled(n) : Claim(n, dues)
       \/ \E clock \in Clocks : \E held \in SUBSET (IF Sending(n) = 0 \/ left.edits = 0 THEN {} ELSE Come(n, clock)) : Ready(n, clock, held)
       \/ \E answered \in BOOLEAN : Send(n, answered) \/ \E k \in 1..Ahead : Record(n, k, answered)
       \/ \E d \in Dues : SendOne(n, d)

Spec == Init /\ [][Next]_vars

------------------------------------------------------------------------------
(* The promises. What a broker had forgotten, or what is unsure, is all that    *)
(* they leave out.                                                              *)

Sure(d) == d \notin saved.gone /\ d \notin broker.unsure

NeverEarly == ~broker.early

NoDuplicate == \A d \in Dues : broker.got[d] > 1 => ~Sure(d)

(* A slot that was claimed is in the journal until it has its end, the node     *)
(* that leads goes past no other slot, and what ended as sent did arrive.       *)
NoLoss ==
  /\ \A n \in Nodes : node[n].term = db.term =>
       \A d \in Dues : SlotOf(d) < node[n].next[d[1]] => db.ends[d] # "none" \/ d \in Journaled
  /\ \A d \in Dues : db.ends[d] = "sent" => broker.got[d] > 0 \/ d \in saved.gone

OneEnd ==
  /\ \A d \in Dues : db.ends[d] # "twice"
  /\ \A d \in Dues : db.ends[d] # "none" => d \notin Journaled
  /\ \A d \in Dues : db.ends[d] = "skipped" /\ Sure(d) => broker.got[d] = 0

(* What a node was told is settled stays so at the broker: a request that comes *)
(* late, or twice, finds itself covered.                                        *)
Acknowledged ==
  saved.gone = {} => \A n \in Nodes : \A i \in DOMAIN node[n].todo :
    node[n].todo[i].done \subseteq Covered(node[n].todo[i].seq, node[n].todo[i].dues)

(* RabbitMQ: one end of a connection leaves few messages unsure. *)
FewUnsure == Cardinality(broker.open) <= Marks

Symmetry == Permutations(Nodes) \cup Permutations(Entries)
=============================================================================
