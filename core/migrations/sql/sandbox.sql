-- The sandbox: the clock of a test business, and how one is emptied. Neither ever touches a live
-- business: both functions look at the mode themselves, whoever calls them.

ALTER TABLE sandbox_message
    ADD CONSTRAINT sandbox_message_business_fk FOREIGN KEY (business_id) REFERENCES business (id),
    ADD CONSTRAINT sandbox_message_direction_check CHECK (direction IN ('outbound', 'inbound'));
CREATE INDEX sandbox_message_page ON sandbox_message (business_id, id DESC);
CREATE INDEX provider_inbox_test ON provider_inbox (test_business_id)
    WHERE test_business_id IS NOT NULL;
ALTER TABLE business
    ADD CONSTRAINT business_clock_check CHECK (
        clock_ahead_seconds >= 0 AND (mode = 'test' OR clock_ahead_seconds = 0));

-- A business is a test one or a live one from the first day: processes remember it.
CREATE FUNCTION refuse_other_mode() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the mode of a business never changes' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER business_keeps_mode BEFORE UPDATE OF mode ON business
    FOR EACH ROW WHEN (OLD.mode IS DISTINCT FROM NEW.mode) EXECUTE FUNCTION refuse_other_mode();

-- Move the clock of a test business: everything that waits for a moment comes nearer by as much.
-- Nothing that happened is changed. Returns how far the clock is ahead now.
CREATE FUNCTION sandbox_advance(p_business uuid, p_seconds bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_by interval := make_interval(secs => p_seconds);
    v_ahead bigint;
    v_before timestamptz;
    v_after timestamptz;
    v_zone text;
BEGIN
    SELECT b.clock_ahead_seconds, b.timezone INTO v_ahead, v_zone
    FROM business b WHERE b.id = p_business AND b.mode = 'test' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'only a test business has a clock of its own'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    v_before := clock_timestamp() + make_interval(secs => v_ahead);
    v_after := v_before + v_by;
    UPDATE business b SET clock_ahead_seconds = v_ahead + p_seconds WHERE b.id = p_business;

    -- The lanes first: a claim under way ends before anything comes nearer.
    PERFORM 1 FROM lane l WHERE l.business_id = p_business
    ORDER BY l.business_id, l.channel FOR NO KEY UPDATE;
    UPDATE lane l SET next_at = clock_timestamp(), rest_until = l.rest_until - v_by,
        recent = ARRAY(SELECT r.at - v_by FROM unnest(l.recent) AS r(at)),
        refilled_at = l.refilled_at - v_by,
        day_count = CASE WHEN (v_before AT TIME ZONE v_zone)::date
                            = (v_after AT TIME ZONE v_zone)::date THEN l.day_count ELSE 0 END
    WHERE l.business_id = p_business;
    UPDATE lane_health h SET probe_at = h.probe_at - v_by, suspended_at = h.suspended_at - v_by
    WHERE h.business_id = p_business;

    PERFORM 1 FROM notification_outbox o
    WHERE o.business_id = p_business AND o.phase IN ('waiting', 'unconfirmed')
    ORDER BY o.id FOR NO KEY UPDATE;
    UPDATE notification_outbox o SET next_retry_at = o.next_retry_at - v_by,
        useful_until = o.useful_until - v_by,
        begun_at = CASE WHEN o.phase = 'unconfirmed' THEN o.begun_at - v_by ELSE o.begun_at END
    WHERE o.business_id = p_business AND o.phase IN ('waiting', 'unconfirmed');
    -- How long an arrival is waited for before the next channel's turn comes.
    UPDATE notification_outbox o SET fallback_at = o.fallback_at - v_by
    WHERE o.business_id = p_business AND o.status = 'sent' AND o.fallback_at IS NOT NULL
      AND o.followed_at IS NULL;
    UPDATE recipient_pace p SET next_at = p.next_at - v_by, paced_until = p.paced_until - v_by,
        count = CASE WHEN (v_before AT TIME ZONE v_zone)::date
                        = (v_after AT TIME ZONE v_zone)::date THEN p.count ELSE 0 END
    WHERE p.business_id = p_business;
    UPDATE provider_inbox i SET due_at = i.due_at - v_by
    WHERE i.test_business_id = p_business AND i.state = 'waiting';
    RETURN v_ahead + p_seconds;
END $$;

-- Consents stay, line by line, but for one thing: a test business that is being emptied.
CREATE FUNCTION sandbox_empties(p_business uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('app.sandbox_reset', true) = p_business::text, false)
       AND EXISTS (SELECT FROM business b WHERE b.id = p_business AND b.mode = 'test')
$$;
CREATE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND sandbox_empties(OLD.business_id) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
DROP TRIGGER consent_event_append_only ON consent_event;
CREATE TRIGGER consent_event_append_only BEFORE UPDATE OR DELETE ON consent_event
    FOR EACH ROW EXECUTE FUNCTION refuse_ledger_change();

-- Empty a test business: people, bookings, messages, consents and everything about them, of the
-- core and of every channel. What is set up stays: the tables in p_kept. A table that others
-- point at is tried again when they are empty. Returns how many rows went.
CREATE FUNCTION sandbox_reset(p_business uuid, p_kept text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_left text[];
    v_again text[];
    v_table text;
    v_rows bigint;
    v_gone bigint := 0;
BEGIN
    PERFORM 1 FROM business b WHERE b.id = p_business AND b.mode = 'test' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'only a test business can be emptied'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM 1 FROM lane l WHERE l.business_id = p_business
    ORDER BY l.business_id, l.channel FOR NO KEY UPDATE;
    PERFORM set_config('app.sandbox_reset', p_business::text, true);

    SELECT array_agg(c.table_name::text ORDER BY c.table_name) INTO v_left
    FROM information_schema.columns c
    JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE c.table_schema = 'public' AND c.column_name = 'business_id'
      AND t.table_type = 'BASE TABLE' AND NOT c.table_name = ANY (p_kept);
    WHILE cardinality(v_left) > 0 LOOP
        v_again := '{}';
        FOREACH v_table IN ARRAY v_left LOOP
            BEGIN
                EXECUTE format('DELETE FROM public.%I WHERE business_id = $1', v_table)
                USING p_business;
                GET DIAGNOSTICS v_rows = ROW_COUNT;
                v_gone := v_gone + v_rows;
            EXCEPTION WHEN foreign_key_violation THEN
                v_again := v_again || v_table;
            END;
        END LOOP;
        IF cardinality(v_again) = cardinality(v_left) THEN
            RAISE EXCEPTION 'rows of % are still pointed at', array_to_string(v_again, ', ');
        END IF;
        v_left := v_again;
    END LOOP;

    DELETE FROM idempotency_key k WHERE k.scope LIKE p_business::text || ':%';
    DELETE FROM provider_inbox i WHERE i.test_business_id = p_business;
    UPDATE business b SET clock_ahead_seconds = 0, killed_at = NULL WHERE b.id = p_business;
    PERFORM set_config('app.sandbox_reset', '', true);
    RETURN v_gone;
END $$;
