------------------------------- MODULE trace -------------------------------
(* Whether what real nodes did is something that the model allows. tracedata,   *)
(* which a test writes, has the steps of each goroutine in order, each with the *)
(* earliest and the latest moment at which it may have come about. A trace is   *)
(* accepted if all of its steps can be taken, in an order that these allow: if  *)
(* Unfinished is broken.                                                        *)
EXTENDS dispatch, tracedata

VARIABLE at \* how far each of the streams has got

Open == {s \in DOMAIN Streams : at[s] <= Len(Streams[s])}
Coming(s) == Streams[s][at[s]]

TraceInit == Init /\ at = [s \in DOMAIN Streams |-> 1]

InTime(e) ==
  /\ \A s \in Open : Coming(s).returned >= e.called
  /\ e.from <= now /\ now <= e.to

Do(e) ==
  CASE e.op = "acquire" -> db.term + 1 = e.term /\ Acquire(e.node)
    [] e.op = "take" -> node[e.node].term = e.term /\ broker.seq = e.seq /\ Take(e.node)
    [] e.op = "claim" -> node[e.node].term = e.term /\ node[e.node].seq + 1 = e.seq /\ Claim(e.node, e.dues)
    [] e.op = "ready" -> /\ node[e.node].term = e.term
                         /\ \E clock \in 1..now : Ready(e.node, clock, e.held)
                         /\ node'[e.node].try.seq = e.seq /\ node'[e.node].try.part = e.dues
    [] e.op = "send" -> node[e.node].term = e.term /\ node[e.node].try.seq = e.seq /\ node[e.node].try.part = e.dues /\ Send(e.node, TRUE)
    [] e.op = "record" -> /\ node[e.node].term = e.term
                          /\ {node[e.node].todo[i].seq : i \in 1..Min(Cardinality(e.seqs), Len(node[e.node].todo))} = e.seqs
                          /\ Record(e.node, Cardinality(e.seqs), TRUE)

(* A step whose answer never came may not have come about. *)
Skip(s) == Coming(s).maybe /\ UNCHANGED vars

(* A node ends its term before it takes the lease again. *)
Over(n) ==
  /\ \E s \in Open : Coming(s).op = "acquire" /\ Coming(s).node = n
  /\ \A s \in Open : Coming(s).node = n => Coming(s).term > node[n].term
  /\ Crash(n)

TraceNext ==
  \/ \E s \in Open : /\ (InTime(Coming(s)) /\ Do(Coming(s))) \/ Skip(s)
                     /\ at' = [at EXCEPT ![s] = @ + 1]
  \/ (\E s \in Open : Coming(s).to > now) /\ Tick /\ UNCHANGED at
  \/ \E n \in Nodes : Over(n) /\ UNCHANGED at

TraceSpec == TraceInit /\ [][TraceNext]_<<vars, at>>

Unfinished == Open # {}
=============================================================================
