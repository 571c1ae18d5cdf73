-- Callbacks: written with the change they tell, claimed fairly, recorded in sets.

ALTER TABLE callback_endpoint
    ADD CONSTRAINT callback_endpoint_business_fk
        FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT callback_endpoint_mode_check CHECK (mode IN ('live', 'test')),
    ADD CONSTRAINT callback_endpoint_state_check CHECK (state IN ('active', 'disabled')),
    ADD CONSTRAINT callback_endpoint_previous_check
        CHECK ((previous_sealed IS NULL) = (previous_until IS NULL));
CREATE INDEX callback_endpoint_active ON callback_endpoint (business_id) WHERE state = 'active';
CREATE INDEX callback_endpoint_business ON callback_endpoint (business_id, id DESC);

ALTER TABLE callback_delivery
    ADD CONSTRAINT callback_delivery_endpoint_fk FOREIGN KEY (endpoint_id)
        REFERENCES callback_endpoint (id) ON DELETE CASCADE,
    ADD CONSTRAINT callback_delivery_business_fk
        FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT callback_delivery_state_check
        CHECK (state IN ('waiting', 'leased', 'delivered', 'failed')),
    ADD CONSTRAINT callback_delivery_lease_check
        CHECK ((state = 'leased') = (lease_token IS NOT NULL AND lease_until IS NOT NULL)),
    ADD CONSTRAINT callback_delivery_due_check CHECK (state <> 'waiting' OR next_at IS NOT NULL);
CREATE INDEX callback_delivery_due ON callback_delivery (endpoint_id, next_at, id)
    WHERE state = 'waiting';
CREATE INDEX callback_delivery_leased ON callback_delivery (endpoint_id, lease_until)
    WHERE state = 'leased';
CREATE INDEX callback_delivery_listed ON callback_delivery (endpoint_id, id DESC);
CREATE INDEX callback_delivery_age ON callback_delivery (created_at);

-- An id that sorts by time (RFC 9562, version 7), for rows that a statement makes.
CREATE FUNCTION callback_new_id(p_at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM p_at) * 1000)::bigint) FROM 3)
        FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;

-- Does an endpoint want this type? `*`, `notification.*` and exact names are understood.
CREATE FUNCTION callback_wants(p_events varchar[], p_type text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_type = ANY (p_events) OR '*' = ANY (p_events)
        OR split_part(p_type, '.', 1) || '.*' = ANY (p_events)
$$;

-- Write callbacks for whoever wants them: the business's own endpoints and the platform's.
-- `business_id` in the body becomes the caller's own id of the business.
CREATE FUNCTION callback_write(
    p_businesses uuid[], p_types text[], p_subjects text[], p_ids uuid[], p_sequences int[],
    p_bodies jsonb[], p_times timestamptz[])
RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_written bigint;
BEGIN
    WITH told AS MATERIALIZED (
        SELECT t.*, b.ref, b.mode
        FROM unnest(p_businesses, p_types, p_subjects, p_ids, p_sequences, p_bodies, p_times)
            WITH ORDINALITY AS t(business_id, type, subject, id, sequence, body, at, place)
        JOIN business b ON b.id = t.business_id
    ), wanted AS (
        SELECT e.id AS endpoint_id, t.* FROM told t
        JOIN callback_endpoint e ON e.business_id = t.business_id AND e.state = 'active'
            AND callback_wants(e.events, t.type)
        UNION ALL
        SELECT e.id, t.* FROM told t
        JOIN callback_endpoint e ON e.business_id IS NULL AND e.state = 'active'
            AND e.mode = t.mode AND callback_wants(e.events, t.type)
    )
    INSERT INTO callback_delivery (id, business_id, endpoint_id, type, subject, subject_id,
        sequence, body, occurred_at, next_at, created_at)
    SELECT callback_new_id(v_now), w.business_id, w.endpoint_id, w.type, w.subject, w.id,
        w.sequence, jsonb_build_object('business_id', w.ref) || w.body, w.at, v_now, v_now
    FROM wanted w ORDER BY w.place;
    GET DIAGNOSTICS v_written = ROW_COUNT;
    RETURN v_written;
END $$;

-- A notification was queued, or its status changed: in the statement that did it, for all its rows.
CREATE FUNCTION callback_tell_notifications() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM callback_endpoint WHERE state = 'active') THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        PERFORM callback_write_notifications(array_agg(n.id)) FROM new_rows n
        JOIN old_rows o ON o.id = n.id WHERE o.status <> n.status HAVING count(*) > 0;
    ELSE
        PERFORM callback_write_notifications(array_agg(n.id)) FROM new_rows n
        HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION callback_write_notifications(p_ids uuid[]) RETURNS void
LANGUAGE sql VOLATILE AS $$
    SELECT callback_write(
        array_agg(n.business_id ORDER BY n.id), array_agg('notification.' || n.status ORDER BY n.id),
        array_agg('notification'::text ORDER BY n.id), array_agg(n.id ORDER BY n.id),
        array_agg(n.sequence ORDER BY n.id),
        array_agg(jsonb_build_object(
            'customer_id', c.ref, 'booking_ref', n.booking_ref, 'channel', n.channel,
            'template', n.template_name, 'event_type', n.event_type, 'status', n.status,
            'code', nullif(n.reason, ''), 'provider_code', n.error_code) ORDER BY n.id),
        array_agg(n.updated_at ORDER BY n.id))
    FROM notification_outbox n
    JOIN customer c ON c.business_id = n.business_id AND c.id = n.customer_id
    WHERE n.id = ANY (p_ids) HAVING count(*) > 0
$$;

CREATE TRIGGER callback_queued AFTER INSERT ON notification_outbox
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION callback_tell_notifications();
CREATE TRIGGER callback_moved AFTER UPDATE ON notification_outbox
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION callback_tell_notifications();

-- A notice was suppressed: there is no notification, only the decision.
CREATE FUNCTION callback_tell_decisions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM callback_endpoint WHERE state = 'active') THEN
        RETURN NULL;
    END IF;
    PERFORM callback_write(
        array_agg(n.business_id ORDER BY n.id),
        array_agg('notification.suppressed'::text ORDER BY n.id),
        array_agg('decision'::text ORDER BY n.id), array_agg(n.id ORDER BY n.id),
        array_agg(0 ORDER BY n.id),
        array_agg(jsonb_build_object(
            'customer_id', c.ref, 'booking_ref', n.booking_ref, 'channel', nullif(n.channel, ''),
            'template', n.template_name, 'status', 'suppressed',
            'code', nullif(n.reason, '')) ORDER BY n.id),
        array_agg(n.created_at ORDER BY n.id))
    FROM new_rows n
    LEFT JOIN customer c ON c.business_id = n.business_id AND c.id = n.customer_id
    WHERE n.outcome = 'suppressed' HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER callback_suppressed AFTER INSERT ON decision
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION callback_tell_decisions();

-- A consent turned to yes or to no.
CREATE FUNCTION callback_tell_consents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_ids uuid[];
BEGIN
    IF NOT EXISTS (SELECT FROM callback_endpoint WHERE state = 'active') THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        SELECT array_agg(n.id) INTO v_ids FROM new_rows n JOIN old_rows o ON o.id = n.id
        WHERE o.opt_in <> n.opt_in;
    ELSE
        SELECT array_agg(n.id) INTO v_ids FROM new_rows n
        WHERE n.opt_in OR n.revoked_at IS NOT NULL;
    END IF;
    PERFORM callback_write(
        array_agg(n.business_id ORDER BY n.id),
        array_agg('consent.' || s.state ORDER BY n.id),
        array_agg('consent'::text ORDER BY n.id), array_agg(n.id ORDER BY n.id),
        array_agg(0 ORDER BY n.id),
        array_agg(jsonb_build_object(
            'customer_id', c.ref, 'channel', n.channel, 'purpose', n.purpose,
            'state', s.state) ORDER BY n.id),
        array_agg(n.updated_at ORDER BY n.id))
    FROM customer_consents n
    JOIN customer c ON c.business_id = n.business_id AND c.id = n.customer_id
    CROSS JOIN LATERAL (SELECT CASE WHEN n.opt_in THEN 'granted' ELSE 'revoked' END AS state) s
    WHERE n.id = ANY (v_ids) HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER callback_granted AFTER INSERT ON customer_consents
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION callback_tell_consents();
CREATE TRIGGER callback_turned AFTER UPDATE ON customer_consents
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION callback_tell_consents();

-- Customers wrote: told without their words and their address.
CREATE FUNCTION callback_tell_received(
    p_businesses uuid[], p_customers uuid[], p_notifications uuid[], p_channel text,
    p_types text[], p_buttons text[], p_times timestamptz[])
RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT callback_write(
        array_agg(t.business_id ORDER BY t.place), array_agg('message.received'::text ORDER BY t.place),
        array_agg((CASE WHEN o.id IS NULL THEN 'message' ELSE 'notification' END) ORDER BY t.place),
        array_agg(o.id ORDER BY t.place), array_agg(0 ORDER BY t.place),
        array_agg(jsonb_build_object(
            'customer_id', c.ref, 'booking_ref', o.booking_ref, 'channel', p_channel,
            'message_type', t.type, 'button', nullif(t.button, '')) ORDER BY t.place),
        array_agg(t.at ORDER BY t.place))
    FROM unnest(p_businesses, p_customers, p_notifications, p_types, p_buttons, p_times)
        WITH ORDINALITY AS t(business_id, customer_id, notification_id, type, button, at, place)
    LEFT JOIN customer c ON c.business_id = t.business_id AND c.id = t.customer_id
    LEFT JOIN notification_outbox o ON o.business_id = t.business_id AND o.id = t.notification_id
    WHERE EXISTS (SELECT FROM callback_endpoint e WHERE e.state = 'active') HAVING count(*) > 0
$$;

-- Claim: the first that waits of each endpoint, then the second, endpoints in random order; never
-- more than p_each of one endpoint on their way, and p_failing of one that fails.
-- A lease that ended puts its callback back: it may be delivered twice, under the same id.
CREATE FUNCTION callback_claim(
    p_limit integer, p_each integer, p_failing integer, p_most integer, p_token uuid,
    p_lease interval)
RETURNS SETOF callback_delivery LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    UPDATE callback_delivery d SET
        state = CASE WHEN d.attempt >= p_most THEN 'failed' ELSE 'waiting' END,
        last_error = 'interrupted', lease_token = NULL, lease_until = NULL, next_at = v_now,
        ended_at = CASE WHEN d.attempt >= p_most THEN v_now END
    FROM (SELECT x.id FROM callback_delivery x WHERE x.state = 'leased' AND x.lease_until < v_now
          ORDER BY x.id LIMIT 500 FOR NO KEY UPDATE SKIP LOCKED) ended
    WHERE d.id = ended.id;
    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT e.id AS endpoint_id, d.id, d.next_at FROM callback_endpoint e
        CROSS JOIN LATERAL (
            SELECT x.id, x.next_at FROM callback_delivery x
            WHERE x.endpoint_id = e.id AND x.state = 'waiting' AND x.next_at <= v_now
            ORDER BY x.next_at, x.id
            LIMIT least(p_limit, greatest(0,
                CASE WHEN e.failing_since IS NULL THEN p_each ELSE p_failing END
                - (SELECT count(*) FROM callback_delivery l
                   WHERE l.endpoint_id = e.id AND l.state = 'leased')))
            FOR NO KEY UPDATE SKIP LOCKED) d
        WHERE e.state = 'active'
    ), picked AS MATERIALIZED (
        SELECT u.id FROM (
            SELECT d.id, row_number() OVER (
                PARTITION BY d.endpoint_id ORDER BY d.next_at, d.id) AS turn
            FROM due d) u
        ORDER BY u.turn, random() LIMIT p_limit
    )
    UPDATE callback_delivery d SET state = 'leased', attempt = d.attempt + 1,
        lease_token = p_token, lease_until = v_now + p_lease
    FROM picked p WHERE d.id = p.id RETURNING d.*;
END $$;

-- Record: what became of a batch of attempts, fenced by the lease. Outcomes: delivered, retry,
-- failed, gone. Returns the endpoints that were switched off by it, and why: failing or gone.
-- Silence is no failure: a row of failures with a gap longer than p_gap begins anew.
CREATE FUNCTION callback_record(
    p_ids uuid[], p_tokens uuid[], p_outcomes text[], p_statuses int[], p_errors text[],
    p_delays interval[], p_millis int[], p_patience interval, p_gap interval)
RETURNS TABLE (endpoint_id uuid, business_id uuid, became text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    PERFORM 1 FROM callback_delivery d WHERE d.id = ANY (p_ids) ORDER BY d.id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH told AS MATERIALIZED (
        SELECT * FROM unnest(
            p_ids, p_tokens, p_outcomes, p_statuses, p_errors, p_delays, p_millis)
            AS t(id, token, outcome, status, error, delay, millis)
    ), moved AS (
        UPDATE callback_delivery d SET
            state = CASE t.outcome WHEN 'delivered' THEN 'delivered' WHEN 'retry' THEN 'waiting'
                                   ELSE 'failed' END,
            next_at = CASE t.outcome WHEN 'retry' THEN v_now + t.delay END,
            lease_token = NULL, lease_until = NULL, last_status = t.status, last_error = t.error,
            ended_at = CASE WHEN t.outcome <> 'retry' THEN v_now END,
            tries = d.tries || jsonb_build_array(jsonb_build_object(
                'at', v_now, 'attempt', d.attempt, 'status', t.status, 'error', t.error,
                'milliseconds', t.millis))
        FROM told t
        WHERE d.id = t.id AND d.state = 'leased' AND d.lease_token = t.token
        RETURNING d.endpoint_id, t.outcome
    ), seen AS (
        SELECT m.endpoint_id, bool_or(m.outcome = 'gone') AS gone,
            bool_or(m.outcome = 'delivered') AS delivered
        FROM moved m GROUP BY m.endpoint_id
    ), held AS MATERIALIZED (
        SELECT e.id, e.state, e.failing_since, e.failed_at, s.gone, s.delivered
        FROM callback_endpoint e JOIN seen s ON s.endpoint_id = e.id
        WHERE s.gone OR NOT s.delivered OR e.failing_since IS NOT NULL
        ORDER BY e.id FOR NO KEY UPDATE OF e
    ), judged AS (
        SELECT h.id, h.state AS before, CASE
            WHEN h.gone THEN 'gone'
            WHEN h.delivered THEN 'recovered'
            WHEN h.failing_since <= v_now - p_patience AND h.failed_at >= v_now - p_gap
                THEN 'failing' ELSE '' END AS verdict,
            CASE WHEN h.failed_at >= v_now - p_gap THEN h.failing_since END AS since
        FROM held h
    ), changed AS (
        UPDATE callback_endpoint e SET
            state = CASE WHEN j.verdict IN ('gone', 'failing') THEN 'disabled' ELSE e.state END,
            reason = CASE WHEN j.verdict IN ('gone', 'failing') THEN j.verdict ELSE e.reason END,
            failing_since = CASE WHEN j.verdict <> 'recovered' THEN coalesce(j.since, v_now) END,
            failed_at = CASE WHEN j.verdict <> 'recovered' THEN v_now END,
            updated_at = CASE WHEN j.verdict IN ('gone', 'failing') THEN v_now
                              ELSE e.updated_at END
        FROM judged j WHERE e.id = j.id
        RETURNING e.id, e.business_id, j.verdict, j.before
    )
    SELECT c.id, c.business_id, c.verdict FROM changed c
    WHERE c.verdict IN ('gone', 'failing') AND c.before = 'active';
END $$;

-- The functions that write callbacks run for whoever makes the change, in the engine's rights:
-- no business may see the platform's endpoints, nor write a callback by itself.
REVOKE ALL ON FUNCTION callback_write(uuid[], text[], text[], uuid[], int[], jsonb[], timestamptz[]) FROM PUBLIC;
GRANT CREATE ON SCHEMA public TO patchbay_engine;
ALTER FUNCTION callback_write(uuid[], text[], text[], uuid[], int[], jsonb[], timestamptz[]) OWNER TO patchbay_engine;
ALTER FUNCTION callback_tell_notifications() OWNER TO patchbay_engine;
ALTER FUNCTION callback_tell_decisions() OWNER TO patchbay_engine;
ALTER FUNCTION callback_tell_consents() OWNER TO patchbay_engine;
REVOKE CREATE ON SCHEMA public FROM patchbay_engine;
