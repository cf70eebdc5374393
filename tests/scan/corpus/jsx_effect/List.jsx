import React, { useEffect, useState } from 'react';
import supabase from '../supabaseClient';

export default function List() {
  const [items, setItems] = useState([]);

  useEffect(() => {
    const subscription = supabase
      .channel('public:items')
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'items' }, (payload) => {
        setItems((old) => [...old, payload.new]);
      })
      .on('postgres_changes', { event: 'DELETE', schema: 'public', table: 'items' }, (payload) => {
        setItems((old) => old.filter((item) => item.id !== payload.old.id));
      })
      .subscribe();

    return () => supabase.removeChannel(subscription);
  }, []);

  return <ul>{items.map((item) => <li key={item.id}>{item.name}</li>)}</ul>;
}
