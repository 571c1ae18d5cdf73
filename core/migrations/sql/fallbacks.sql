-- Fallbacks: the next channel of a rule takes over where one could not deliver.
--
-- `fallbacks` names the channels that are left; `followed_at` is set once, under the row's lock,
-- when the next of them was decided about, or when it was settled that none is to be. A follower
-- points back with `fallback_of`; the unique index makes it one, whatever is repeated.

CREATE UNIQUE INDEX outbox_follower ON notification_outbox (fallback_of)
    WHERE fallback_of IS NOT NULL;
CREATE INDEX outbox_undelivered ON notification_outbox (fallback_at)
    WHERE status = 'sent' AND followed_at IS NULL AND fallback_at IS NOT NULL;
CREATE INDEX outbox_unfollowed ON notification_outbox (id)
    WHERE status = 'failed' AND followed_at IS NULL AND fallbacks <> '[]';
CREATE INDEX decision_follower ON decision (business_id, fallback_of)
    WHERE fallback_of IS NOT NULL;

-- From the moment the provider took a message over, it has so long to arrive. A trigger, because
-- a message becomes `sent` by our record, by the provider's news and by a person's word.
CREATE FUNCTION outbox_start_patience() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.fallback_at := coalesce(NEW.sent_at, clock_timestamp()) + NEW.fallback_after;
    RETURN NEW;
END $$;
CREATE TRIGGER outbox_patience BEFORE UPDATE OF status ON notification_outbox
    FOR EACH ROW WHEN (NEW.fallback_after IS NOT NULL AND NEW.status = 'sent'
                       AND OLD.status <> 'sent')
    EXECUTE FUNCTION outbox_start_patience();

-- The messages before these in their chains, the nearest first.
CREATE FUNCTION outbox_before(p_ids uuid[])
RETURNS TABLE (id uuid, earlier uuid) LANGUAGE sql STABLE AS $$
    WITH RECURSIVE chain AS (
        SELECT o.id, o.fallback_of FROM notification_outbox o
        WHERE o.id = ANY (p_ids) AND o.fallback_of IS NOT NULL
        UNION
        SELECT c.id, e.fallback_of FROM chain c
        JOIN notification_outbox e ON e.id = c.fallback_of WHERE e.fallback_of IS NOT NULL)
    SELECT chain.id, chain.fallback_of FROM chain
$$;

-- Take what the next channel must be decided for: lock it, mark it, return it. Named messages, or
-- without names those whose time is over and those that nobody has followed up yet.
CREATE FUNCTION outbox_take_unfollowed(p_ids uuid[], p_limit integer)
RETURNS TABLE (
    id uuid, business_id uuid, customer_id uuid, channel text, event_type text, event_id uuid,
    template_name text, language_code text, rule_key text, booking_ref text, generation integer,
    status text, reason text, useful_until timestamptz, fallbacks jsonb, fallback_after interval,
    payload_json jsonb, variables_sealed bytea, decision_id uuid, customer_locale text,
    customer_timezone text, unconfirmed text, superseded boolean, arrived boolean)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_ids uuid[];
BEGIN
    IF p_ids IS NOT NULL THEN
        SELECT array_agg(s.id) INTO v_ids FROM (
            SELECT o.id FROM notification_outbox o
            WHERE o.id = ANY (p_ids) AND o.followed_at IS NULL AND o.fallbacks <> '[]'
              AND (o.status = 'failed' OR (o.status = 'canceled' AND o.reason = 'address-missing'))
            ORDER BY o.id FOR NO KEY UPDATE) s;
    ELSE
        SELECT array_agg(s.id) INTO v_ids FROM (
            SELECT o.id FROM notification_outbox o WHERE o.id IN (
                (SELECT x.id FROM notification_outbox x
                 WHERE x.status = 'sent' AND x.followed_at IS NULL AND x.fallback_at <= v_now
                 ORDER BY x.fallback_at LIMIT p_limit)
                UNION ALL
                (SELECT x.id FROM notification_outbox x
                 WHERE x.status = 'failed' AND x.followed_at IS NULL AND x.fallbacks <> '[]'
                 ORDER BY x.id LIMIT p_limit))
              AND o.followed_at IS NULL AND o.status IN ('sent', 'failed')
            ORDER BY o.id FOR NO KEY UPDATE SKIP LOCKED) s;
    END IF;
    IF v_ids IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH taken AS (
        UPDATE notification_outbox o SET followed_at = v_now WHERE o.id = ANY (v_ids)
        RETURNING o.*)
    SELECT t.id, t.business_id, t.customer_id, t.channel::text, t.event_type::text, t.event_id,
        t.template_name::text, t.language_code::text, t.rule_key::text, t.booking_ref::text,
        t.generation, t.status::text, t.reason::text, t.useful_until, t.fallbacks,
        t.fallback_after, t.payload_json, t.variables_sealed, d.id, c.locale::text,
        c.timezone::text, coalesce(b.settings ->> 'unconfirmed', 'hold'),
        t.rule_key <> '' AND EXISTS (
            SELECT FROM booking_plan p WHERE p.business_id = t.business_id
              AND p.booking_ref = t.booking_ref AND p.generation > t.generation),
        EXISTS (SELECT FROM outbox_before(ARRAY[t.id]) e
                JOIN notification_outbox x ON x.id = e.earlier
                WHERE x.status IN ('delivered', 'read'))
    FROM taken t
    JOIN business b ON b.id = t.business_id
    JOIN customer c ON c.business_id = t.business_id AND c.id = t.customer_id
    LEFT JOIN LATERAL (
        SELECT x.id FROM decision x
        WHERE x.business_id = t.business_id AND x.notification_id = t.id
        ORDER BY x.id DESC LIMIT 1) d ON true
    ORDER BY t.business_id, t.id;
END $$;

-- These arrived after all: cancel what follows them and was not begun; return every follower that
-- had been begun by then, for it cannot be called back.
CREATE FUNCTION outbox_call_back(p_ids uuid[])
RETURNS TABLE (id uuid, business_id uuid, channel text, canceled boolean)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_ids uuid[];
    v_now timestamptz;
BEGIN
    WITH RECURSIVE later AS (
        SELECT o.id FROM notification_outbox o WHERE o.fallback_of = ANY (p_ids)
        UNION
        SELECT o.id FROM later l JOIN notification_outbox o ON o.fallback_of = l.id)
    SELECT array_agg(l.id) INTO v_ids FROM later l;
    IF v_ids IS NULL THEN
        RETURN;
    END IF;
    PERFORM 1 FROM notification_outbox o WHERE o.id = ANY (v_ids) ORDER BY o.id FOR NO KEY UPDATE;
    v_now := clock_timestamp();
    RETURN QUERY
    WITH stopped AS (
        UPDATE notification_outbox o
        SET status = 'canceled', phase = 'final', reason = 'delivered-meanwhile',
            lease_token = NULL, lease_until = NULL, next_retry_at = NULL,
            sequence = o.sequence + 1, updated_at = v_now
        WHERE o.id = ANY (v_ids) AND o.phase IN ('waiting', 'leased')
        RETURNING o.id, o.business_id, o.channel)
    SELECT s.id, s.business_id, s.channel::text, true FROM stopped s
    UNION ALL
    SELECT o.id, o.business_id, o.channel::text, false FROM notification_outbox o
    WHERE o.id = ANY (v_ids) AND (o.phase IN ('in_flight', 'unconfirmed')
                                  OR o.status IN ('sent', 'delivered', 'read'));
END $$;

-- The last look of a follower: nothing before it has arrived. Called between the gate, which has
-- locked these rows in id order, and begin.
CREATE FUNCTION outbox_drop_outrun(p_ids uuid[], p_token uuid)
RETURNS TABLE (id uuid) LANGUAGE sql VOLATILE AS $$
    UPDATE notification_outbox o
    SET status = 'canceled', phase = 'final', reason = 'delivered-meanwhile', lease_token = NULL,
        lease_until = NULL, next_retry_at = NULL, sequence = o.sequence + 1,
        updated_at = clock_timestamp()
    WHERE o.id = ANY (p_ids) AND o.lease_token = p_token AND o.phase = 'leased'
      AND o.fallback_of IS NOT NULL AND EXISTS (
          SELECT FROM outbox_before(ARRAY[o.id]) e
          JOIN notification_outbox x ON x.id = e.earlier
          WHERE x.status IN ('delivered', 'read'))
    RETURNING o.id
$$;
